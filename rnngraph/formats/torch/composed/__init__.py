"""Handlers that compute torch functions by other torch functions, whose calls the tracer intercepts.

- ``elements``: elementwise functions and products.
- ``axes``: transposes, concatenations and windows.
- ``ordering``: selections by index, and sums.
- ``losses``: losses of modules that take labels.
"""
