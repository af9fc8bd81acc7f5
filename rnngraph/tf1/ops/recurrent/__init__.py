"""TensorFlow's cells, drivers and attention, with its arguments.

``cells``, ``contrib_cells`` and ``further_cells`` have the cells, ``linear`` helpers for cells that programs write,
``drivers`` the functions that run cells over time, and ``seq2seq`` attention. ``signatures`` has the arguments of all
constructors, and builds the constructors.
"""
