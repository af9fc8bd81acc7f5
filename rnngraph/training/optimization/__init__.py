"""Updates of parameters: ``schedules`` of learning rates, ``optimizers``, and ``pruning`` of weights.

``schedules`` are learning rates by update, ``optimizers`` are equations of a parameter and its gradient, and
``pruning`` sets blocks of weights to zero after an update. This package does not import trainers.
"""
