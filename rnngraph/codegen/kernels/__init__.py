"""Kernels: loop nests in the loop IR, each planned first and then written.

``values`` computes an element, ``loop_nests`` has the building blocks of all kernels, ``active_rows`` skips ended rows,
and ``region`` is the context of a kernel. ``kernel_plan`` decides, with ``product_plan``. ``emit`` writes the plan,
using ``pointwise``, ``matmul`` with its ``right_operands`` and ``epilogue``, ``matrix_unit``, ``sparse_products``,
``outer_products``, ``reductions``, ``fused_reductions`` and ``accumulation``. A kernel does not know
what runs before or after it.
"""
