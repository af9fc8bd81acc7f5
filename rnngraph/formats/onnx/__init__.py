"""ONNX files. ``writing`` makes them of programs; all else reads them. ``core`` has what readers of ops are made of,
``recurrent``, ``ops`` and ``loops`` the ops; ``fusing`` and ``graph_reader`` read the nodes that are needed, in their
order, and ``bodies`` has the functions by which ONNX defines ops that no function here reads; ``read`` is the way in,
which has steps that are written out rolled up.

To add an op: a function with ``@reads("Op")`` of ``core.table``, in the file of ``ops`` that it belongs to. It takes a
``Call``, which has the node's inputs and attributes, and gives what the node's outputs are: a ``Value`` of the script
where that is computed at run time, ``Known`` where it follows from the file and from sizes alone, None where an output
is not offered. It raises ``UnreadableError`` with the reason for what has no counterpart here. A new file of ops is
named in ``read``. ``Call.opset`` is the version of the operator. A graph within a node is read with ``Call.branch``.
``quantized_files`` says with which bits a program computes what a quantized file holds.
``unread`` has the ops that no function reads, with the reason; an op that becomes one that is read goes from there.
"""
