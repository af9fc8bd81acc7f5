"""Functions of tensors: ``basic`` ones, ``truths`` (what truth values are together), ``activations``, ``rounding``,
``padding`` around what is there, along time (``convolutions``, ``sequences``), ``randomness``, ``layers``, what must
have the ``same_shape``, ``losses`` and ``ctc``. They use nothing that a user's own function could not.
"""
