"""Passes that compute convolutions and pools of pictures without copies.

- ``padded_views``: pads a value once.
- ``short_windows``: computes depthwise convolutions and pools as elementwise ops.
- ``transpose_pairs``: removes pairs of transposes before and after a convolution that cancel each other.
"""
