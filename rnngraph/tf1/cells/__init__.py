"""Cells as programs of TensorFlow 1.x use them: called step by step, and subclassed from ``RNNCell``.

``variables`` creates and names the variables of a cell. ``calls`` runs ``cell(x, state)``, inside another cell's step
or outside. ``subclassing`` has the base class ``RNNCell``. No module here depends on the kind of cell.
"""
