"""TensorFlow's cells and attention, with its constructors.

``cells``, ``contrib_cells`` and ``further_cells`` are cells, ``linear`` has helpers of cells that programs write,
``seq2seq`` has attention. ``signatures`` has the arguments of all constructors, and builds these.
"""
