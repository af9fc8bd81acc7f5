"""Infrastructure of the readers of layers, in order of use.

``archive`` and ``hdf5`` open a file; ``object_header`` reads lengths of strings before memory is allocated.
``configuration`` parses layers and calls, ``variables`` finds the layers' arrays, and ``declaration`` holds the script
and tensors with masks.
"""
