"""Rematerialisation: a derivative recomputes steps of the forward loop instead of reading saved values.

The option ``recompute=``, and thus the number of steps in a block, is in ``runtime/native/recompute_option.py``.

- ``recompute``: the pass. It calls one of the next three modules for each length.
- ``unidirectional``: recurrences in one direction; ``bidirectional``: recurrences in both.
- ``large_states``: large states alone.
- ``blocks``: helpers of these modules.
"""
