"""Translation of the loop IR to the text of an LLVM module.

- ``module``: modules, functions, statements and loops.
- ``function_builder``: builder of a function.
- ``instructions``: single instructions. ``load_store``: access to memory.
- ``elementwise``: elementwise ops.
- ``vecmath``: elementary functions as vector code with error bounds, with building blocks in ``vecmath_parts``, powers
  in ``vecmath_power``, and constants in ``vecmath_tables``.
- ``remainder``: exact remainders of floats. ``whole_numbers``: quotients, remainders and powers of integers.
- ``conversions``: conversions between 64-bit integers and floats.
- ``register_tile``: register tiles of products. ``dot_products``: their steps. ``transposed_columns``: columns in which
  k is contiguous.
- ``debug_info``: lines and layers of a debug build. ``listing``: annotated assembly.
"""
