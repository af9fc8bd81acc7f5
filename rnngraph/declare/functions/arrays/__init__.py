"""Functions that rearrange or combine entries.

``moves`` along axes; ``matrices``: triangles and diagonals; ``contractions``: products summed over axes; ``filling``:
constants in the shape of a tensor.
"""
