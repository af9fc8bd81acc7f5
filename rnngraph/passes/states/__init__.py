"""States of several axes, such as matrices, in the shape in which their loops are fastest.

``trailing_ones`` computes columns as rows. ``state_shapes`` carries a state in the shape in which its steps compute.
"""
