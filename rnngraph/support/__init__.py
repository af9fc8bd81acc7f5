"""Helpers that every room may use and that import none of them.

``errors`` has the error types and finds the user's line; ``arguments`` checks arguments, and ``api_guard`` wraps what
users call. ``attribute_hints`` and ``migration_hints`` say what to write instead of a name that does not exist: one of
this package, or one of Keras, torch or NumPy. ``allocation`` makes large arrays, ``bounded_cache`` has dicts that evict
entries, ``forks`` has locks that are safe to fork with, ``stage_text`` is the text of a stage whose lines know where
they come from, and ``display`` renders texts and numbers in terminals and notebooks.
"""
