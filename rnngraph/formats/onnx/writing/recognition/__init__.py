"""Recognises scans that compute ONNX's LSTM, GRU, RNN or LinearAttention, from their ops rather than names of cells.

``separate`` is the entry point: it splits scans into layers, and each layer into gates, by passes of the compiler.
``cells`` then matches a step against the cells, with ``patterns`` of ops and of ONNX's ``activations``. Gates are sums
of ``terms``, whose matrices are ``constants`` of the graph. ``layer`` defines the result. ``delays`` recognises loops
that only delay, and ``convolutions`` recognises products of windows. ``linear_terms`` splits an affine recurrence into
query, key, value, decay and rate, from which ``linear_attention`` builds a scan.
"""
