"""The processor and LLVM: ``target`` says what a machine has, ``alignment`` how memory is aligned for it, ``engine``
turns text into code, ``interface`` says how code is called, ``line_table`` reads the lines of objects,
``cycle_counter`` the processor's counter of time. ``memory_text`` is LLVM's text that functions on laid-out memory
share; ``row_steps``, which steps rows of tables, is one of these. Needs nothing of the compiler, so that code from the
cache runs without it. The one room that imports llvmlite.
"""
