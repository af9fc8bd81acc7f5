"""Training: ``trainer`` is what users hold. ``optimization`` has optimizers and schedules, ``steps`` has native steps
and what they depend on, ``ranks`` trains over processes, ``fit`` is the loop over examples; ``options`` checks
what a trainer is given, ``trainable`` says which parameters are trained, and ``checkpoint`` keeps a trainer in a file.
"""
