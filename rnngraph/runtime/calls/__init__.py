"""Arrays in, arrays out. ``feed_names`` finds the placeholders that a call names, ``nested_feeds`` those of nests,
``feeds`` makes arrays that native code can read, ``signatures`` say which calls are alike, ``entry_cache`` finds an
entry by shapes; ``outputs`` takes what callers give for each output, ``results`` gives what they get. ``prepared_call``
is what runs native code, for calls of one signature, ``direct_call`` the plan by which machine code does so without
Python, and ``call_cache`` keeps such calls. ``non_finite`` finds where a NaN began, ``random_feeds`` are for timing.
Knows no programs.
"""
