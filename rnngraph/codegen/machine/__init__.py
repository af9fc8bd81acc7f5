"""The processor and LLVM: ``target`` says what a machine has, ``alignment`` how memory is aligned for it, ``engine``
turns text into code, ``interface`` says how code is called, ``line_table`` reads the lines of objects,
``cycle_counter`` the processor's counter of time. ``ir_builder`` builds functions of LLVM's IR; ``memory_text`` is the
one that copies memory, and ``row_steps`` those that step rows of tables. Needs nothing of the compiler, so that code
from the cache runs without it. The one room that imports llvmlite.
"""
