"""TensorFlow's ``cells``, ``contrib_cells`` and, for decoders, attention (``seq2seq``)."""
