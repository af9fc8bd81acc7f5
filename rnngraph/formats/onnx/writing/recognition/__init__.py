"""Loops of a graph that are ONNX's LSTM, GRU, RNN or LinearAttention, by what their steps compute and no cell's name.

``separate`` is the entry point: it takes scans apart into layers, and each layer into gates, by the compiler's own
passes. ``cells`` then looks whether a step is that of a cell, with ``patterns`` of ops, ``activations`` that ONNX has,
and gates as sums of ``terms``, whose matrices are ``constants`` of the graph. ``layer`` is the result. ``delays`` finds
loops that are none, ``convolutions`` products of windows. ``linear_terms`` says what of an affine recurrence is a
query, key, value, decay or rate, and ``linear_attention`` makes a scan of just these. Knows nothing of files.
"""
