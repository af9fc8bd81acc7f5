"""``Trainer.fit``: the loop over examples.

``plan`` checks the arguments, and ``loop`` runs the epochs, from a ``position`` on. ``evaluation`` measures losses and
metrics, which ``history`` records. ``padding_check`` checks that padding changes no result. ``class_weights`` and
``callback_list`` check these two arguments. ``progress`` and ``progress_bars`` show progress. This package imports
``steps``, but not trainers.
"""
