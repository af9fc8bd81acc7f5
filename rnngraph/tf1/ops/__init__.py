"""TensorFlow's functions, layers, losses, cells and drivers, with its names and arguments: ours behind them.

``functions`` are of tensors, ``shapes`` of sizes, ``random`` draws; ``inputs`` has placeholders and drivers, ``layers``
what owns variables, ``initializers`` and ``regularizers`` what these take, ``losses`` what is minimised; ``cells``,
``contrib_cells`` and ``seq2seq`` are recurrent. The modules that programs import list them.
"""
