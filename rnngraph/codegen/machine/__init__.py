"""The processor and LLVM: ``target`` says what a machine has, ``alignment`` how memory is aligned for it, ``engine``
turns text into code, ``interface`` says how code is called, ``line_table`` reads the lines of objects. Needs nothing
of the compiler, so that code from the cache runs without it. The one room that imports llvmlite.
"""
