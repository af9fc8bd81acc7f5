"""TensorFlow's cells and attention, with its constructors.

``cells``, ``contrib_cells`` and ``further_cells`` have the cells, ``linear`` helpers for cells that programs write, and
``seq2seq`` attention. ``signatures`` has the arguments of all constructors, and builds the constructors.
"""
