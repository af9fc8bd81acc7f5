"""Files of Keras: ``read`` is the door. In the order of the work: ``archive`` and ``hdf5`` open a file,
``configuration`` reads the layers and their calls, ``variables`` finds their arrays. ``declaration`` holds what layers
are declared with; ``activations``, ``plain``, ``normalization``, ``convolutions``, ``merging``, ``attention``,
``recurrent`` and ``operations`` declare a layer each by its class, and ``network`` calls one after the other. Keras is
not needed, and nothing of a file is run.
"""
