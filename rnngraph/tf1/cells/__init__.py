"""Cells as programs of TensorFlow 1.x use them: called step by step, and made as subclasses of ``RNNCell``.

``variables`` says where the variables of a cell are, ``calls`` what ``cell(x, state)`` gives, within a step that is
traced and outside; ``subclassing`` is ``RNNCell``. Knows no kind of cell.
"""
