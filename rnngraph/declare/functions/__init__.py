"""Functions of tensors, built only from what users' own functions can use.

Elementwise and shape functions: ``basic``, ``extremes``, ``indexing``, ``activations``, ``rounding``, ``elementary``,
``arrays``.
Over axes: ``statistics`` (products, variances, log-sums, any and all), ``norms``, ``orders``, ``normalization``.
Along time: ``padding``, ``convolutions``, ``cumulative``, ``sequences``.
Others: ``randomness``, ``layers``, ``matching``, ``losses``.
"""
