"""Readers of ops, one file for each kind of op.

``elementwise`` is the base of ``products`` (of matrices), ``quantized`` (ops that are read as floats), ``normalizing``
and ``reducing``. ``shapes`` computes arrays of sizes, ``choosing`` gathers, ``scattering`` scatters, ``moving``
reshapes and slices, ``padding`` pads. ``convolutions`` also reads pools, and ``resizing`` repeats entries. ``fused``
reads onnxruntime's fused ops, and ``qlinear`` ops of quantized operands. ``sequences`` reads lists of arrays, and
``control`` reads If. ``backend`` implements the interface of ``formats.operators``.
"""
