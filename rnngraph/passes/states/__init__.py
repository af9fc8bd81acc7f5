"""Passes that choose the shape in which loops carry states of several axes, such as matrices.

``trailing_ones`` computes columns as rows. ``state_shapes`` carries a state in the shape in which its steps compute.
"""
