"""Passes over axes: those that nets merge and split again, and those of which nothing reads all entries.

- ``separate_axes``: the pass, and the choice of the axes that stay separate.
- ``separation``: computes values over several axes in place of their product.
- ``slice_early``: computes only the entries that are read, along all axes but the last.
"""
