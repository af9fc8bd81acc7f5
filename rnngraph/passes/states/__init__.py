"""Passes for states of several axes: where their values are computed, and how loops and streams store them.

- ``matrix_states``: applies a change to the steps of loops whose states are matrices.
- ``vector_products``: computes products of vectors and matrix states elementwise.
- ``few_vectors``: writes products with a few vectors as products with one vector each.
- ``low_rank``: multiplies a state by the vectors of a matrix of low rank, not by the matrix.
- ``large_transposes``: transposes vectors and results instead of matrices.
- ``split_sums``: sums a matrix of each head on its own, and then over heads.
- ``absorb``: moves large values around a loop into it.
- ``trailing_ones``: computes columns [..., n, 1] as rows [..., n].
- ``state_shapes``: carries a state in the shape in which its steps compute.
- ``state_axes``: carries a matrix with the axes over which steps sum between heads and the last axis.
- ``narrow_loops``: carries states in the narrow dtype to which steps round them.
- ``narrow_states``: lets streams store states in that dtype.
"""
