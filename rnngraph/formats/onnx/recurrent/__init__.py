"""Reads RNN, LSTM, GRU and LinearAttention nodes.

``layer`` parses a node's options and arrays. ``activations`` and ``cells`` define rnngraph's counterparts. ``drivers``
declares a node or a stack of nodes as a driver, with weights of the file or with ``runtime_weights``. ``stacks`` finds
nodes that are layers of one stack. ``linear_attention`` declares LinearAttention nodes, which have no weights.
"""
