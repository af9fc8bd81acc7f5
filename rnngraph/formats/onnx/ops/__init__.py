"""Ops, a file a kind. ``elementwise`` ones come first, on which others build: ``products`` of matrices, ``quantized``
ops, read as floats, ``normalizing`` and ``reducing`` ones. ``shapes`` makes arrays of sizes, ``choosing`` takes entries
by indices, ``scattering`` writes them over others, ``moving`` moves entries, ``padding`` puts some around,
``convolutions`` holds pools, too, and ``resizing`` repeats entries. ``fused`` ops are onnxruntime's own, and so are
most ``qlinear`` ones, which take and give quantized numbers. ``sequences`` are arrays by number, and ``control`` is If.
``backend`` is what ``formats.operators`` takes.
"""
