"""Built-in cells, written with the same API as users' own cells.

``basic`` has the RNN, LSTM and GRU of TensorFlow 1.15, ``lstm_variants`` further LSTMs, and ``gated_variants`` other
gated cells. ``minimal``, ``state_spaces``, ``linear_attention`` and ``xlstm`` have recurrences of recent papers, which
read ``parts``, and ``mamba`` the blocks around two of them. ``wrappers`` and ``projections`` wrap other cells.
"""
