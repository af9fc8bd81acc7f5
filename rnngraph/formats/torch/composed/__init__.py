"""Torch functions that are computed by other torch functions, whose calls the tracer records.

- ``elements``: elementwise functions and products.
- ``axes``: transposes, concatenations and windows.
- ``ordering``: selections by index, and sums.
- ``losses``: losses of modules that take labels.
"""
