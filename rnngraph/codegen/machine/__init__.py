"""Processors, and compilation by LLVM. This package alone imports llvmlite.

It needs no other part of the compiler, so that cached code runs without the compiler.

- ``target``: description of a processor; ``alignment`` of memory for it, and ``amx``, the matrix unit of x86-64.
- ``engine``: turns text into code; ``interface`` describes how the code is called.
- ``line_table``: reads the line numbers of object files.
- ``cycle_counter``: the processor's time counter.
- ``ir_builder``: builds functions of LLVM IR; ``memory_text`` copies memory, and ``row_steps`` steps rows of tables.
"""
