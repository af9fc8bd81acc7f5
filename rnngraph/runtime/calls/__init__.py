"""A call: ``feeds`` become arrays of the right dtype and shape, ``results`` arrays of the caller's; ``prepared_call``
is the short way for feeds of a kind that was met before. ``non_finite`` finds where a NaN began.
"""
