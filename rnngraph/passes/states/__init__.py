"""Passes for states with several axes: where their values are computed, and how loops and streams store them.

- ``matrix_states``: applies a change to the steps of loops whose states are matrices.
- ``vector_products``: computes products of vectors and matrix states elementwise.
- ``few_vectors``: writes products with a few vectors as products with one vector each.
- ``low_rank``: multiplies a state by the vectors that form a matrix of low rank, instead of by the matrix.
- ``large_transposes``: transposes vectors and results instead of matrices.
- ``split_sums``: splits a sum over heads and a matrix of each head into two sums.
- ``absorb``: moves large values around a loop into it.
- ``trailing_ones``: computes columns [..., n, 1] as rows [..., n].
- ``state_shapes``: carries a state in the shape in which its steps compute.
- ``state_axes``: orders the axes of a matrix state, so that steps do not sum over the last one.
- ``narrow_loops``: carries states in the narrow dtype to which steps round them.
- ``narrow_states``: lets streams store states in the narrow dtype to which steps round them.
"""
