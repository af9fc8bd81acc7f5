"""What TensorFlow 1.x programs stand on, below the names that they use.

``names`` has dtypes and refuses arguments, ``errors`` are TensorFlow's of a run. A
``variable`` is a Tensor with a value in each session; a ``graph`` records what owns them, and which one is current is a
stack of each thread. ``scopes`` name what is declared, ``operations`` are what a run does beside giving values,
``variables`` what programs make of them. ``session`` finds the program of a set of fetches and runs it. ``programs``
makes it, by the ``order`` in which operations were declared and the ``schedule`` of a run's phases; ``rolling`` makes
drivers of loops that are written out. ``tensors`` has the class of a program's Tensors, which answers what programs
ask of one, and gives arrays beside it its dtype; ``shapes`` are what it says of sizes, and ``sizes`` are Tensors too.
``elementwise`` has maxima and powers with TensorFlow's own NaN and gradients. A ``branch`` is a function of ``tf.cond``
while it is declared. Knows no cell, no layer and no optimizer.
"""
