"""Calls of native code: arrays in, arrays out. This package does not depend on programs.

A call whose feeds have a known signature and need no conversion takes the fast path, by memory that was prepared for
the signature. All other calls take the slow path, which converts and validates each feed.

- ``feed_names``: names of placeholders by the keys of a call's feeds.
- ``nested_feeds``: feeds that are nests.
- ``feeds``: conversion and validation of fed arrays.
- ``signatures``: names, shapes and dtypes of feeds.
- ``entries_by_shape``: native entries by shapes.
- ``outputs``: arrays of ``out=`` and ``output_gradients=``.
- ``results``: the structure of results.
- ``prepared_call``: memory of the calls of one signature.
- ``runner``: execution of prepared calls.
- ``entry_blocks``: argument blocks for callers in any thread.
- ``direct_call``: plans of calls that machine code runs without Python code.
- ``call_cache``: runners by signature.
- ``non_finite``: search for the origin of a NaN or infinity.
- ``sequence_tail``: graphs of the ends of sequences, which streams call.
- ``random_feeds``: random inputs for timing.
"""
