"""TensorFlow's ``cells``, ``contrib_cells``, ``linear`` of cells that programs write, and attention (``seq2seq``)."""
