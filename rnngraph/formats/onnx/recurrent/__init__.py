"""RNN, LSTM, GRU and LinearAttention nodes.

``layer`` holds what a node says, ``activations`` and ``cells`` how that is said here. ``drivers`` declares one node or
a stack of them, with weights of the file or with ``given_weights``. ``stacks`` finds which nodes are layers of one
stack. ``linear_attention`` declares nodes of that name, which have no weights.
"""
