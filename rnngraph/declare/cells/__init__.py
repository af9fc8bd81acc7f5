"""The cells: ``basic`` ones as in TensorFlow 1.15, further LSTMs and gated cells, and cells around cells (``wrappers``,
``projections``). None has a privilege over a user's own.
"""
