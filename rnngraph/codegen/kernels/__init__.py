"""Kernels, one loop nest each: ``emit`` chooses; ``matmul`` with its ``epilogue``, ``outer_products``, ``reductions``
and ``scatter_add`` write; ``values`` computes an element, ``loop_nests`` are what all are written with,
``active_rows`` skips rows that have ended.
"""
