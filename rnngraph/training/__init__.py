"""Training: optimizers, steps, fits and checkpoints.

Users hold a ``trainer``, whose read-only properties are in ``state_view``. ``options`` checks its arguments,
``trainable`` selects parameters, ``optimization`` has optimizers and schedules, ``steps`` has native steps and their
state, ``ranks`` trains over processes, ``fit`` is the loop over examples, and ``checkpoint`` stores a trainer in a
file.
"""
