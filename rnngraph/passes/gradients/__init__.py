"""Gradients as more nodes of the graph: ``autodiff`` walks it backwards, ``adjoints`` adds up, ``scan_derivative`` is a
scan's. ``replace_gradients`` puts in their place what a declaration makes of them.
"""
