"""``Trainer.fit``: the loop over examples.

``plan`` checks its arguments for the ``loop``, which starts at a ``position``. ``evaluation`` measures,
``padding_check`` detects dependence on padding, ``class_weights`` weigh labels, ``callback_list`` checks callbacks,
``history`` has measurements, and ``progress`` and ``progress_bars`` show progress. This package imports
``steps``, but not trainers.
"""
