"""Reads RNN, LSTM, GRU and LinearAttention nodes.

``layer`` parses a node's options and arrays. ``activations`` and ``cells`` define rnngraph's counterparts. ``drivers``
declares one node or a stack of nodes, with weights of the file or with ``runtime_weights``. ``stacks`` finds the nodes
that are layers of one stack. ``linear_attention`` declares LinearAttention nodes, which have no weights.
"""
