"""Common parts of readers of ops; no op itself.

``model`` parses a file by ``messages``, with ``inlining`` of its functions. ``sizes`` and ``known`` are values that
follow from a file and symbolic sizes; ``values`` and ``tensors`` declare all others. ``ranges`` are indices that count
along an axis, ``table`` has the readers of ops and their arguments, and ``functions`` those that ONNX has and rnngraph
lacks.
"""
