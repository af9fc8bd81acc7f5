"""Object code of a net, with functions that C can call.

``ports`` describes the caller's arrays, and ``nets`` the two forms of an exported net. ``llvm_text`` writes functions
and data. ``wrapper`` writes calls of entries for ``stream_functions`` and ``sequence_functions``, and ``sizes`` the
formulas of the sizes of a call. ``weights`` writes the function that receives weights at run time, which finds tensors
in a file's bytes by ``tensor_search``. ``dispatch`` selects code by processor. ``object_code`` makes the object file.
"""
