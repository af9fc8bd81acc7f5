"""Reads Keras files.

``read`` is the entry point, and ``core`` opens and parses a file. ``activations``, ``plain``, ``normalization``,
``convolutions`` and ``planes`` (along two axes), ``merging``, ``products``, ``attention`` and ``recurrent`` declare
layers by class. ``operations`` declares ``keras.ops`` functions between layers, and ``operands`` reads their arguments:
``axes`` moves entries, ``reductions`` reduces or sorts axes, ``tensorflow`` maps TensorFlow's names. ``custom``
declares users' classes by functions of the caller. ``network`` calls the layers in order. ``formats/weights`` and
``formats/gates`` order the gates of recurrent layers. Keras is not needed, and nothing in a file is executed.
"""
