"""Affine recurrences: states whose next value is ``A S + B``, with ``A`` scalar, diagonal, or diagonal plus low rank.

``views`` says on which axes of a state an axis of a value lies; ``linear_forms`` writes values of a step as sums of
terms in the state; ``recurrences`` derives what kind of recurrence a scan holds, or why it holds none;
``chunk_products`` computes a chunk of its steps by matrix products; ``chunk`` is the pass that does so for training.
No cell is known here: the rules are about the graph of a step.
"""
