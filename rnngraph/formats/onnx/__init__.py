"""Reads and writes ONNX files.

``writing`` writes programs to files; all other modules read them:

- ``read`` is the entry point. It also rolls unrolled steps into loops.
- ``graph_reader`` reads the nodes that outputs need, operands first. ``fusing`` joins a product and the addition of
  its bias.
- ``recurrent``, ``ops`` and ``loops`` have the readers of ops, which share the modules of ``core``.
- ``bodies`` expands ops without a reader by ONNX's function bodies. ``unread`` lists the ops that cannot be read.
- ``quantized_files`` chooses the number of bits with which the program of a quantized file computes.

To add an op, write a function with ``@reads("Op")`` of ``core.table`` in a file of ``ops``, and remove the op from
``unread``. Import a new file in ``read``. The function takes a ``Call`` with the node's inputs and attributes.
``Call.opset`` is the operator's version, and ``Call.branch`` reads a graph in an attribute. Return the node's outputs:

- ``Value``: a value of the script, computed at run time.
- ``Known``: an array that follows from the file and from sizes.
- None: an optional output that is not supported. Nodes that read it cannot be read.

Raise ``UnreadableError`` with the reason if the node cannot be read.
"""
