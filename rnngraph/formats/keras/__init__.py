"""Files of Keras: ``read`` is the door. ``core`` opens a file and reads what it describes. ``activations``, ``plain``,
``normalization``, ``convolutions`` and along two axes ``planes``, ``merging``, ``products``, ``attention`` and
``recurrent`` declare a layer each by its class, and ``operations`` functions among layers: ``operands`` finds what they
are called on, ``axes`` has those that move entries, ``reductions`` those that fold axes or put entries in order,
``tensorflow`` says which of TensorFlow's are the same. ``custom`` declares classes of users' own by functions of the
caller. ``network`` calls one layer after the other. Gates of recurrent layers are put in order by ``formats/weights``
and ``formats/gates``. Keras is not needed, and nothing of a file is run.
"""
