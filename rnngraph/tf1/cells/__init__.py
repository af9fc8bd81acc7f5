"""Cells as programs of TensorFlow 1.x use them: called step by step, and subclassed from ``RNNCell``.

``variables`` finds the variables of a cell, and ``calls`` runs ``cell(x, state)``, inside a traced step and outside.
``subclassing`` is ``RNNCell``. No module here depends on the kind of cell.
"""
