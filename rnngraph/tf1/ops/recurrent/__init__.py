"""TensorFlow's cells and attention, with its constructors.

``cells`` and ``contrib_cells`` are cells, ``linear`` is a helper of cells that programs write, ``seq2seq`` has
attention. ``signatures`` has the arguments of all constructors, and builds these.
"""
