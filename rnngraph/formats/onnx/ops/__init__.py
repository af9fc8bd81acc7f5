"""Readers of ops, one file for each kind.

``elementwise`` comes first; others build on it: ``products`` of matrices, ``quantized`` ops, read as floats,
``normalizing`` and ``reducing`` ones. ``shapes`` computes arrays of sizes, ``choosing`` gathers, ``scattering``
scatters, ``moving`` reshapes and slices, ``padding`` pads. ``convolutions`` also has pools, and ``resizing`` repeats
entries. ``fused`` and most of ``qlinear`` are onnxruntime's own ops; the latter have quantized operands. ``sequences``
has lists of arrays, and ``control`` has If. ``backend`` is the interface for ``formats.operators``.
"""
