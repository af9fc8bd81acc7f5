"""TensorFlow's ``cells``, ``contrib_cells``, ``linear`` of cells that programs write, and attention (``seq2seq``).

``signatures`` has the arguments of all their constructors, and makes these.
"""
