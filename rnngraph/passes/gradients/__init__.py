"""Reverse-mode differentiation: gradients become additional nodes of the graph.

``autodiff`` walks the graph backwards, ``adjoint_sums`` accumulates adjoints, and ``scan_derivative`` differentiates
scans. ``replace_gradients`` substitutes gradients that a declaration computes.
"""
