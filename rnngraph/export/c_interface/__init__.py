"""Object code of a net, with functions that C can call.

``ports`` are a caller's arrays, and ``nets`` the two forms of an exported net. ``llvm_text`` writes functions and data.
``wrapper`` fills an argument block and calls an entry, for ``stream_functions`` and ``sequence_functions``; ``sizes``
are formulas of a call. ``weights`` can be passed at run time, found by ``tensor_search``. ``dispatch`` selects code by
processor, and ``object_code`` makes the object.
"""
