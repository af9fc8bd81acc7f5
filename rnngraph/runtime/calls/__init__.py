"""Arrays in, arrays out. ``feed_names`` and ``nested_feeds`` say what is fed, ``feeds`` makes arrays of it that native
code can read, ``entry_cache`` finds an entry by their shapes; ``outputs`` takes what callers give for each output,
``results`` gives what they get. ``prepared_call`` and ``prepared_outputs`` run feeds of a signature that was met
before. ``non_finite`` finds where a NaN began, ``random_feeds`` are for timing. Knows no programs.
"""
