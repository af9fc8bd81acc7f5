"""How updates are computed: ``schedules`` are learning rates by update, ``optimizers`` equations of a parameter and its
gradient, ``pruning`` makes blocks of weights zero behind an update. Knows no trainer.
"""
