"""Torch functions that are computed by other torch functions, whose calls the tracer records.

``elements`` has elementwise functions and products, ``axes`` transposes, concatenations and windows, ``ordering``
selections by index and sums, and ``losses`` the losses of modules that take labels.
"""
