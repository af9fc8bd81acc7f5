"""The cells: ``basic`` (RNN, LSTM, GRU, as in TensorFlow 1.15), further LSTMs (``lstm_variants``), other gated cells
(``gated_variants``), and cells around cells (``wrappers``, ``projections``). None has a privilege over a user's own.
"""
