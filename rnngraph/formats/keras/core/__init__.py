"""Modules that all readers of Keras layers use: they open and parse a file, and keep the state of a declaration.

``archive`` and ``hdf5`` open a file; ``object_header`` reads lengths of strings before memory is allocated.
``configuration`` parses layers and calls, and ``variables`` finds the layers' arrays. ``declaration`` has the script,
and tensors with masks.
"""
