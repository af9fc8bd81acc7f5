"""Functions of tensors: ``basic`` ones, ``activations``, along time (``sequences``), ``randomness``, ``layers``,
``losses`` and ``ctc``. They use nothing that a user's own function could not.
"""
