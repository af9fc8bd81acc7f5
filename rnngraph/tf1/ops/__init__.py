"""TensorFlow's functions, layers, losses, cells and drivers, with its names and arguments, over rnngraph's own.

``functions`` are of tensors, ``numbers`` elementwise compositions, ``arithmetic`` TensorFlow's names of operators,
``shapes`` functions of sizes, ``selection`` look-ups and masks, ``contractions`` ``tensordot`` and ``einsum``, ``nest``
is of nests, ``random`` draws. ``inputs`` has placeholders and drivers, ``layers`` has layers with variables,
``windows`` convolutions and pools, ``batch_norms`` batch normalization, ``normalizers`` those of ``tf.contrib.layers``,
``initializers`` and ``regularizers`` their options, ``losses`` objectives, ``checks`` assertions. Cells and attention
are in ``recurrent``. ``table/names.txt`` lists all names.
"""
