"""Functions that arrange entries anew: ``moves`` along axes; ``matrices``, triangles and diagonals; ``contractions``,
products that are summed over axes; ``filling``, numbers in the shape of a tensor.
"""
