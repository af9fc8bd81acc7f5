"""Object code with C functions: ``ports`` are the arrays that callers see, ``nets`` what is exported in either form.
``wrapper`` fills an argument block and calls an entry, as ``stream_functions`` and ``sequence_functions`` do; ``sizes``
are formulas of a call. ``weights`` come later, ``dispatch`` chooses by processor, ``object_code`` puts all together.
"""
