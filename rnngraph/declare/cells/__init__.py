"""Built-in cells, written with the same API as users' own cells.

``basic`` has the RNN, LSTM and GRU of TensorFlow 1.15, ``lstm_variants`` further LSTMs, and ``gated_variants`` other
gated cells. ``wrappers`` and ``projections`` wrap other cells.
"""
