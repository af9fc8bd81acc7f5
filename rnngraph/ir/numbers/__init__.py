"""Arithmetic of ops in NumPy. ``evaluation`` has the values of ops, which define them; ``narrow`` has numbers of fewer
bits, and ``random`` drawn ones.
"""
