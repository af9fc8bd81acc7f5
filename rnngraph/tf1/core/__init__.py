"""Base of TensorFlow 1.x programs: graphs, variables, operations and sessions. ``table`` gives them public names.

Declarations:

- ``graph`` records declarations, names and collections, and ``scopes`` the open scopes.
- ``tensors`` has the class of a program's Tensors, ``shapes`` their static shapes, ``sizes`` shapes as Tensors.
- ``variable`` is a Tensor with a value in each session; ``variables`` creates, assigns and lists variables, and
  ``scatters`` changes rows of variables.
- ``operations`` are side effects of a run, and ``control_dependencies`` has the order in which they run.
- ``branch`` has a branch of ``tf.cond`` while its function declares Tensors.
- ``elementwise`` has functions with TensorFlow's NaN, signed zeros and gradients.
- ``dtypes`` has dtypes and rejects options, and ``errors`` the errors of a run.

Runs:

- ``session`` looks up the code for a set of fetches and feeds, and runs it.
- ``programs`` compiles that code, and ``schedule`` orders its native calls and operations.
- ``rolling`` turns unrolled loops into drivers.

No module here depends on a cell, layer or optimizer.
"""
