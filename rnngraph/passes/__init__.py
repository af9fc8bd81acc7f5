"""Passes: each takes a graph and gives a graph, and its law is in its docstring.

``pipeline`` lists them in the order in which they run. ``lowering`` comes first: the declaration becomes a graph;
``split`` makes two of it, for training and for inference; ``gradients`` differentiates; the others make it faster, and
``unchanged`` graphs are the same object. ``loops`` holds what passes over scans share, and ``chunks``
makes graphs of chunks for streams. Knows no cell and no processor.
"""
