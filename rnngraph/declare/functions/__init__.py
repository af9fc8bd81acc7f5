"""Functions of tensors: ``basic`` ones, ``truths`` (what truth values are together), ``activations``, ``rounding``;
over axes ``statistics`` (products, variances, logarithms of sums), ``norms``, ``orders`` and ``normalization``;
``padding`` around what is there, along time (``convolutions``, ``cumulative``, ``sequences``), ``randomness``,
``layers``, what must have the ``same_shape``, ``losses`` and ``ctc``. Further
``elementary`` functions have a room of their own. They use nothing that a user's own function could not.
"""
