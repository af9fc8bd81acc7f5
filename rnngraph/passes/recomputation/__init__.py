"""Rematerialisation: a derivative recomputes steps of the forward loop instead of reading saved values.

``recompute`` is the pass. ``one_way`` handles recurrences of one direction, ``both_ways`` those of two,
``large_states`` recomputes large states alone, and ``blocks`` has what they share.
"""
