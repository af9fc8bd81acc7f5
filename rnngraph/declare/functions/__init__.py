"""Functions of tensors: ``basic`` ones, ``indexing``, ``activations``, ``rounding``.

Over axes: ``statistics`` (products, variances, logarithms of sums, any and all), ``norms``, ``orders``,
``normalization``. Along time: ``padding``, ``convolutions``, ``cumulative``, ``sequences``. Further ``randomness``,
``layers``, ``matching``, ``losses``, ``ctc``; ``elementary`` functions and moves of ``arrays`` have rooms of their
own. They use nothing that a user's own function could not.
"""
