"""Reads RNN, LSTM, GRU and LinearAttention nodes.

``layer`` parses a node's options and arrays; ``activations`` and ``cells`` are their counterparts in rnngraph.
``drivers`` declares one node or a stack of them, with weights of the file or with ``runtime_weights``. ``stacks`` finds
nodes that are layers of one stack. ``linear_attention`` declares nodes of that name, which have no weights.
"""
