"""Passes over axes that nets merge and split again.

- ``separate_axes``: the pass, and the choice of the axes that stay separate.
- ``separation``: computes values over several axes in place of their product.
"""
