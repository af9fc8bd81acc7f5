"""Base of TensorFlow 1.x programs: graphs, variables, operations and sessions, below the names that programs use.

``names`` has dtypes and refuses arguments, ``errors`` the errors of a run. A ``variable`` is a Tensor with a value in
each session. A ``graph`` records what owns variables; each thread has a stack of current graphs. ``scopes`` name
declarations, ``operations`` are side effects of a run, and ``variables`` creates, assigns and lists variables.
``scatters`` change rows of variables. ``session`` finds the program of a set of fetches and runs it. ``programs``
compiles it, by the ``order`` in which operations were declared and the ``schedule`` of a run's phases. ``rolling``
rolls loops that are written out into drivers. ``tensors`` has the class of a program's Tensors. ``shapes`` are their
static shapes, and ``sizes`` are shapes as Tensors. ``elementwise`` has maxima and powers with TensorFlow's NaN and
gradients. A ``branch`` is a function of
``tf.cond`` while it is declared. No module here depends on a cell, layer or optimizer.
"""
