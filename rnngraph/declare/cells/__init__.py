"""Built-in cells, written with the same API as users' own cells.

``basic`` has the RNN, LSTM and GRU of TensorFlow 1.15, ``lstm_variants`` further LSTMs, and ``gated_variants`` other
gated cells. ``minimal``, ``state_spaces``, ``linear_attention`` and ``xlstm`` have recurrences of recent papers, built
on ``parts``. ``mamba`` has the blocks around two of these cells. ``wrappers`` and ``projections`` wrap other cells.
"""
