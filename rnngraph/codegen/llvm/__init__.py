"""From loop IR to LLVM text. ``instructions`` writes single ones, ``function_builder`` holds a function in the making,
``load_store`` reads and writes memory.

``elementwise`` is the native meaning of ops: elementary functions are vector code (``vecmath``, of ``vecmath_parts``,
``vecmath_power``, with constants in ``vecmath_tables``), whose errors are bounded. ``remainder`` is exact, of floats;
``whole_numbers`` divides integers, and ``conversions`` are those of 64-bit integers. ``register_tile`` is
for products: ``dot_products`` say what it does to two operands and a sum, ``transposed_columns`` reads columns whose k
lie side by side. ``module`` writes modules, their functions and loops. ``debug_info`` gives a twin lines and layers,
``listing`` reads its assembly.
"""
