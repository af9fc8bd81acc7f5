"""Reads and writes ONNX files.

``writing`` writes programs to files; all other modules read them. ``core`` has the common parts of readers of ops,
which are in ``recurrent``, ``ops`` and ``loops``. ``unread`` lists ops without a reader, with the reason. ``fusing``
and ``graph_reader`` read the needed nodes in order, and ``bodies`` expands other ops by ONNX's definitions. ``read`` is
the entry point; it also rolls unrolled steps into loops. ``quantized_files`` chooses the bits with which a program
computes a quantized file.

To add an op, write a function with ``@reads("Op")`` of ``core.table`` in a file of ``ops``; a new file is imported by
``read``. The function takes a ``Call`` with the node's inputs and attributes, and returns the node's outputs: a
``Value`` of the script for what is computed at run time, ``Known`` for what follows from the file and from sizes, None
for an output without a counterpart. It raises ``UnreadableError`` with the reason if there is no counterpart.
``Call.opset`` is the operator's version. ``Call.branch`` reads a graph in an attribute. Remove the op from ``unread``.
"""
