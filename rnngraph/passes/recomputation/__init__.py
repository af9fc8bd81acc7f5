"""Rematerialisation: steps are recomputed instead of saved for a derivative.

``recompute`` is the pass. ``one_way`` handles recurrences of one direction, ``both_ways`` those of two,
``large_states`` recomputes large states alone, and ``blocks`` has what they share.
"""
