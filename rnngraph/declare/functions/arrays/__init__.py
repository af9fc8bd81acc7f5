"""Functions that arrange entries anew: ``moves`` along axes; triangles and diagonals: ``matrices``."""
