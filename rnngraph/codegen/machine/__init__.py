"""Processors, and compilation by LLVM. No other package imports llvmlite.

The package depends on no other part of the compiler, so that cached code runs without the compiler.

- ``target``: descriptions of processors.
- ``alignment``: alignment of memory.
- ``amx``: products on the matrix unit of x86-64 processors.
- ``host``: facts about this machine that LLVM detects, which a file may cache.
- ``engine``: compilation of LLVM text.
- ``code``: machine code in memory.
- ``elf``: reader of the sections of object files.
- ``loader``: loading of object files without LLVM.
- ``interface``: calling interface of machine code, with the layout of its argument block.
- ``line_table``: reader of the line tables of object files.
- ``cycle_counter``: the processor's time counter.
- ``ir_builder``: builder of LLVM functions.
- ``memory_text``: LLVM text of memory copies.
- ``row_steps``: LLVM text of the function that advances rows of a stream table.
"""
