"""Training.

Users hold a ``trainer``. ``options`` checks its arguments, ``trainable`` selects parameters, ``optimization`` has
optimizers and schedules, ``steps`` has native steps and their state, ``ranks`` trains over processes, ``fit`` is the
loop over examples, and ``checkpoint`` stores a trainer in a file.
"""
