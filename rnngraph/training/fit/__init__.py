"""``Trainer.fit``: ``plan`` makes of its arguments what the ``loop`` follows from a ``position``; ``evaluation``
measures, ``class_weights`` weigh labels, ``history`` is what is kept, ``progress`` and ``progress_bars`` what is shown.
Knows steps, and no facade.
"""
