"""What all of Keras' layers are declared with. In the order of the work: ``archive`` and ``hdf5`` open a file, with
``object_header``, which says how long its texts are before there is room made for them; ``configuration`` reads the
layers and their calls, ``variables`` finds their arrays; ``declaration`` holds the script, and tensors with their
masks. Of a class of layers it knows its arrays, and no more.
"""
