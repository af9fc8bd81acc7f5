"""Files of Keras: ``read`` is the door. In the order of the work: ``archive`` and ``hdf5`` open a file, with
``object_header``, which says how long its texts are before there is room made for them; ``configuration`` reads the
layers and their calls, ``variables`` finds their arrays. ``declaration`` holds what layers are declared with;
``activations``, ``plain``, ``normalization``, ``convolutions``, ``merging``, ``attention``, ``recurrent`` and
``operations`` declare a layer each by its class, and ``network`` calls one after the other. Gates of recurrent layers
are put in order by ``formats/weights`` and ``formats/gates``. Keras is not needed, and nothing of a file is run.
"""
