"""Passes that choose the shape and dtype in which loops carry states, and in which streams store them.

- ``trailing_ones``: computes columns [..., n, 1] as rows [..., n].
- ``state_shapes``: carries a state in the shape in which its steps compute.
- ``narrow_loops``: carries states in the narrow dtype to which steps round them.
- ``narrow_states``: lets streams store states in that dtype.
"""
