"""Steps that are computed again, and not kept for a derivative: ``recompute`` is the pass, ``one_way`` cuts recurrences
of one direction, ``both_ways`` those of two, and ``blocks`` is what both make and ask.
"""
