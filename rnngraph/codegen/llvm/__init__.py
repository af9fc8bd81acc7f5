"""Code generation in LLVM: from the loop IR to the text of an LLVM module.

``instructions`` writes single instructions, ``function_builder`` holds a function under construction, and
``load_store`` accesses memory. ``elementwise`` implements ops: elementary functions are vector code with error bounds
(``vecmath``, ``vecmath_parts``, ``vecmath_power``, constants in ``vecmath_tables``). ``remainder`` is exact for floats;
``whole_numbers`` divides integers, and ``conversions`` handles 64-bit integers. ``register_tile`` writes products, with
``dot_products`` for their steps and ``transposed_columns`` for columns with contiguous k. ``module`` writes modules,
functions and loops. ``debug_info`` adds lines and layers to a debug build, and ``listing`` annotates its assembly.
"""
