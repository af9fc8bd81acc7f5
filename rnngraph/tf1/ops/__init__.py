"""TensorFlow's functions, layers, losses, cells and drivers, composed of rnngraph's functions.

- ``functions``, ``numbers``, ``arithmetic``: functions of tensors, and TensorFlow's names of operators.
- ``shapes``, ``selection``: sizes, look-ups and masks.
- ``contractions``: ``tensordot`` and ``einsum``.
- ``nest``, ``random``, ``checks``: nests, random tensors, assertions.
- ``placeholders``: Tensors that are fed in runs.
- ``layers``, ``windows``, ``batch_norms``, ``normalizers``: layers, convolutions and pools, normalization.
- ``initializers``, ``regularizers``: options of layers.
- ``losses``: objectives.
- ``recurrent``: cells, drivers such as ``tf.nn.dynamic_rnn``, and attention.

``table/names.txt`` lists all names.
"""
