"""Modules that the readers of all ops share.

``model`` parses a file into ``messages``, and ``inlining`` expands the file's functions. ``sizes`` and ``known``
compute values that follow from the file and from symbolic sizes. ``values`` and ``tensors`` declare run-time values.
``ranges`` recognises consecutive indices. ``table`` registers the readers of ops and defines their arguments.
``functions`` defines functions that ONNX has and rnngraph lacks.
"""
