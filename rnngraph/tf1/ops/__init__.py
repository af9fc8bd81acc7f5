"""TensorFlow's functions, layers, losses, cells and drivers, with its names and arguments, over rnngraph's own.

- ``functions``, ``numbers``, ``arithmetic``: functions of tensors, compositions, and TensorFlow's names of operators.
- ``shapes``, ``selection``, ``contractions``: sizes, look-ups and masks, ``tensordot`` and ``einsum``.
- ``nest``, ``random``, ``checks``: nests, random tensors, assertions.
- ``inputs``: placeholders and drivers.
- ``layers``, ``windows``, ``batch_norms``, ``normalizers``: layers, convolutions and pools, normalization.
- ``initializers``, ``regularizers``: options of layers.
- ``losses``: objectives.
- ``recurrent``: cells and attention.

``table/names.txt`` lists all names.
"""
