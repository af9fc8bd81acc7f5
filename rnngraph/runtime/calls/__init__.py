"""Arrays in, arrays out. ``feed_names`` finds the placeholders that a call names, ``nested_feeds`` those of nests,
``feeds`` makes arrays that native code can read, ``signatures`` say which calls are alike, ``entry_cache`` finds an
entry by shapes; ``outputs`` takes what callers give for each output, ``results`` gives what they get. ``prepared_call``
is the memory of calls of one signature, and ``runner`` runs them, for all users, on argument blocks of a source:
``entry_blocks`` for callers in any thread. ``direct_call`` is the plan by which machine code does so without Python,
and ``call_cache`` keeps runners. ``non_finite`` finds where a NaN began, ``random_feeds`` are for timing.
Knows no programs.
"""
