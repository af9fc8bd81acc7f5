"""Reverse-mode differentiation: gradients become additional nodes of the graph.

``autodiff`` walks the graph backwards, ``adjoints`` accumulates adjoints, and ``scan_derivative`` differentiates
scans. ``replace_gradients`` substitutes gradients that a declaration computes.
"""
