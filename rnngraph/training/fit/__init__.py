"""``Trainer.fit``: ``plan`` makes of its arguments what the ``loop`` follows from a ``position``; ``evaluation``
measures, ``padding_check`` finds padding that shows, ``class_weights`` weigh labels, ``callback_list`` checks
callbacks, ``history`` is what is kept, ``progress`` and ``progress_bars`` what is shown. Knows steps, and no facade.
"""
