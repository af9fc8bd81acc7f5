"""Readers of ops, one file for each kind of op.

``elementwise``, ``reducing``, ``normalizing`` and ``products`` (of matrices) compute. ``shapes`` computes arrays of
sizes, ``choosing`` gathers, ``scattering`` scatters, ``moving`` reshapes and slices, ``padding`` pads, and ``resizing``
repeats entries. ``convolutions`` also reads pools. ``quantized`` reads quantized numbers as floats, which ``qlinear``
uses for ops of quantized operands. ``fused`` reads onnxruntime's fused ops, ``sequences`` lists of arrays, and
``control`` If. ``backend`` implements the interface of ``formats.operators``.
"""
