"""Common parts of Keras' layers, in order of use.

``archive`` and ``hdf5`` open a file; ``object_header`` reads the lengths of its texts before memory is allocated.
``configuration`` reads the layers and their calls, ``variables`` finds their arrays, and ``declaration`` has the script
and tensors with their masks. The room knows the arrays of layer classes, and nothing else of them.
"""
