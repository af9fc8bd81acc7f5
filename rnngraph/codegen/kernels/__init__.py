"""Kernels, one loop nest each: planned first, then written.

``values`` computes an element, ``loop_nests`` are what all are written with, ``active_rows`` skips rows that have
ended, ``region`` is where a kernel runs. ``kernel_plan`` decides, with ``product_plan``; ``emit`` writes what is
decided, by ``pointwise``, ``matmul`` with its ``epilogue``, ``sparse_products``, ``outer_products``, ``reductions``,
``fused_reductions``, ``scatter_add`` and ``overlap_add``. Knows one kernel at a time, and not what runs before or
after it.
"""
