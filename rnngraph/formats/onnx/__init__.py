"""ONNX files. Read ``model``, which takes a file apart; ``known``, ``sizes`` and ``tensors``: what a value of the file can
be; ``table``: ops and what their readers are given; ``graph_reader``, which reads the nodes that are needed in their order;
``read``, the way in. The other files hold ops; ``recurrent`` those that become cells and drivers, which ``stacks`` joins.

To add an op: a function with ``@reads("Op")`` of ``table`` in the file that it belongs to. It takes a ``Call``, which
has the node's inputs and attributes, and gives what the node's outputs are: a ``Value`` of the script where it is computed
at run time, ``Known`` where it follows from the file and from sizes alone. It raises ``Unreadable`` with the reason for
what has no counterpart here. A file of ops is named in ``read``. A subgraph is read with ``Call.branch``.
"""
