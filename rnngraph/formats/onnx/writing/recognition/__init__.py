"""Which loops of a graph are ONNX's LSTM, GRU or RNN, found by what their steps compute and by no cell's name.

``separate`` is the door: it takes scans apart into layers, and each layer into gates, by the compiler's own passes.
``cells`` then looks whether a step is that of a cell, with ``patterns`` of ops, ``activations`` that ONNX has, and
gates as sums of ``terms``, whose matrices are ``constants`` of the graph. ``layer`` is what is found. ``delays``
finds loops that are none, ``convolutions`` products of windows. Knows nothing of files.
"""
