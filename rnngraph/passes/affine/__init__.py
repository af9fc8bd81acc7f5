"""Affine recurrences: states updated as S' = A S + B, with A scalar, diagonal, or diagonal plus low rank.

- ``views``: relates the axes of values to those of a state.
- ``linear_forms``: expresses values of a step as sums of terms in the state.
- ``recurrences``: classifies a scan's carries as affine, or gives the reason why they are not.
- ``chunk_products``: computes a chunk of steps by matrix products.
- ``chunk``: the pass, for training; ``chunking`` has its options.

The rules apply to the graph of a step, and do not depend on cells.
"""
