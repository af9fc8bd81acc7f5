"""How updates are computed: ``schedules`` are learning rates by update, ``optimizers`` equations of a parameter and its
gradient. Knows no trainer.
"""
