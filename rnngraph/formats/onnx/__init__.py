"""Reads and writes ONNX files.

``writing`` makes files of programs; all else reads them. ``core`` has the common parts of readers of ops, which are in
``recurrent``, ``ops`` and ``loops``. ``unread`` lists ops that no function reads, with the reason. ``fusing`` and
``graph_reader`` read the needed nodes in order, and ``bodies`` has ONNX's definitions of other ops. ``read`` is the
entrance, which also rolls up unrolled steps.
``quantized_files`` says with which bits a program computes what a quantized file has.

To add an op, write a function with ``@reads("Op")`` of ``core.table`` in a file of ``ops``; a new file is imported by
``read``. The function takes a ``Call`` with the node's inputs and attributes, and returns the node's outputs: a
``Value`` of the script for what is computed at run time, ``Known`` for what follows from the file and from sizes, None
for an output without a counterpart. It raises ``UnreadableError`` with the reason if there is no counterpart.
``Call.opset`` is the operator's version. ``Call.branch`` reads a graph in an attribute. Remove the op from ``unread``.
"""
