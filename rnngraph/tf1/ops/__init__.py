"""TensorFlow's functions, layers, losses, cells and drivers, with its names and arguments: ours behind them.

``functions`` are of tensors, ``numbers`` elementwise ones that are made of several of ours, ``arithmetic`` has names
for what ours write otherwise, ``shapes`` is of sizes, ``selection`` chooses entries, ``contractions`` are ``tensordot``
and ``einsum``, ``nest`` is of nests, ``random`` draws. ``inputs`` has placeholders and drivers, ``layers`` what owns
variables, ``windows`` convolutions and pools, ``batch_norms`` batch normalization, ``normalizers`` those of
``tf.contrib.layers``, ``initializers`` and ``regularizers`` what these take, ``losses`` what is minimised, ``checks``
assertions; cells and attention are in ``recurrent``. ``table/names.txt`` lists their names.
"""
