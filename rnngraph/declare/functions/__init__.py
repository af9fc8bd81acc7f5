"""Functions of tensors. They use only ops and functions that users' own code can call.

Elementwise and shape functions: ``basic``, ``extremes``, ``indexing``, ``activations``, ``rounding``, ``elementary``,
``arrays``.
Over axes: ``statistics`` (products, variances, log-sums, any and all), ``norms``, ``orders``, ``normalization``.
Along time: ``padding``, ``convolutions``, ``cumulative``, ``sequences``.
Others: ``randomness``, ``layers``, ``matching``, ``losses``.
"""
