"""A call: ``feeds`` become arrays of the right dtype and shape, ``results`` arrays of the caller's; ``prepared_call``
runs feeds of a signature that was met before. ``non_finite`` finds where a NaN began.
"""
