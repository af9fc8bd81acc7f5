"""Processors, and compilation by LLVM.

``target`` describes a processor, ``alignment`` aligns memory for it, ``engine`` turns text into code, ``interface``
describes how code is called, ``line_table`` reads the lines of objects, ``cycle_counter`` is the processor's time
counter, and ``amx`` the matrix unit of x86-64. ``ir_builder`` builds functions of LLVM IR; ``memory_text`` copies
memory, and ``row_steps`` steps rows of tables. This room needs nothing of the compiler, so that cached code runs
without it. It alone imports llvmlite.
"""
