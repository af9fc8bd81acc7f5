"""Object code with C functions: ``ports`` are the arrays that callers see, ``nets`` what is exported in either form.
``llvm_text`` has the builder and the data that functions are written with. ``wrapper`` fills an argument
block and calls an entry, as ``stream_functions`` and ``sequence_functions`` do, of which the latter also say how much
memory a call needs; ``sizes`` are formulas of a call.
``weights`` come later, where ``tensor_search`` finds them, ``dispatch`` chooses by processor, and ``object_code`` puts
all together.
"""
