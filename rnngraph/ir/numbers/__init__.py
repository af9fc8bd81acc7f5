"""Definitions of ops in NumPy.

``evaluation`` defines the values of all ops. ``narrow`` handles bfloat16 and 8-bit integers, and ``random`` is the
random number generator.
"""
