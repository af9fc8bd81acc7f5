"""Kernels: loop nests in the loop IR, each planned first and then written.

Units are the positions on a value's last axis, along which vectors run. Rows are the positions on the other axes.

- ``values``: computes single elements; ``loop_nests``: building blocks of all kernels.
- ``active_rows``: loops over rows that have not ended; ``region``: the context of a kernel.
- ``kernel_plan``, ``product_plan``: all decisions about a kernel.
- ``emit``: writes a planned kernel, by the modules below.
- ``pointwise``, ``reductions``, ``fused_reductions``, ``accumulation``: kernels without products.
- ``matmul`` with its ``right_operands`` and ``tile_rows``, ``matrix_unit``, ``sparse_products``, ``outer_products``:
  kernels with products.

A kernel does not depend on the kernels before and after it.
"""
