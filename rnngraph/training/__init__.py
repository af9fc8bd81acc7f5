"""Training: optimizers, steps, fits and checkpoints.

- ``trainer``: the user's object, whose read-only properties are in ``state_view``.
- ``options``: checks of the trainer's arguments; ``trainable`` selects parameters.
- ``optimization``: optimizers and schedules.
- ``steps``: native steps and their state; ``ranks`` trains over processes.
- ``fit``: the loop over examples.
- ``checkpoint``: stores a trainer in a file.
"""
