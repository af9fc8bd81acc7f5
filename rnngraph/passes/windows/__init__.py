"""Passes that compute convolutions and pools of pictures without copies.

- ``padded_views``: pads a value once.
- ``short_windows``: computes depthwise convolutions and pools as elementwise ops.
- ``transpose_pairs``: removes transposes before and after convolutions that cancel.
"""
