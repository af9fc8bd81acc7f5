"""Recognises loops that are ONNX's LSTM, GRU, RNN or LinearAttention, by their ops and not by names of cells.

``separate`` is the entry point: it splits scans into layers, and each layer into gates, by the compiler's own passes.
``cells`` then matches a step against the cells, with ``patterns`` of ops and of ONNX's ``activations``. Gates are sums
of ``terms``, whose matrices are ``constants`` of the graph. ``layer`` is the result. ``delays`` recognises loops that
only delay, and ``convolutions`` products of windows. ``linear_terms`` splits an affine recurrence into query, key,
value, decay and rate, from which ``linear_attention`` builds a scan. No module here depends on files.
"""
