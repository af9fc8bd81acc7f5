"""Reads Keras files.

``read`` is the entry point, and ``core`` opens and parses a file. ``network`` calls the layers in order.

- Layers by class: ``activations``, ``plain`` (dense, embedding, dropout and reshaping layers), ``normalization``,
  ``convolutions``, ``planes`` (padding, cropping, global pools), ``merging``, ``products``, ``attention`` and
  ``recurrent``. ``formats/weights`` and ``formats/gates`` order the gates of recurrent layers.
- Functions of ``keras.ops`` between layers: ``operations``, with ``axes`` (movement and selection of entries) and
  ``reductions``. ``operands`` reads their arguments, and ``tensorflow`` maps TensorFlow's function names to them.
- Users' own classes: ``custom`` declares them by functions of the caller.

Keras is not needed, and nothing in a file is executed.
"""
