"""``Trainer.fit``: from arguments to a ``plan``, which the ``loop`` follows; ``evaluation``, ``history`` and what is
shown.
"""
