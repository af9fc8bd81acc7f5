"""Code generation: from a graph to machine code. ``compile`` returns an object file and its calling interface.

The packages in order; each imports only earlier ones, and none depends on cells:

- ``machine``: processors, and compilation by LLVM.
- ``direct_calls``: calls from CPython. No other package depends on Python's objects.
- ``loop_ir``: the intermediate language between graph and LLVM.
- ``analysis``: fusion of a graph's ops.
- ``threads``: synchronisation of worker threads.
- ``cost_model``: estimates, which never change values.
- ``buffers``: memory of values.
- ``kernels``: kernels, each planned once and written as one loop nest.
- ``schedule``: entries, and the order in which their kernels run.
- ``llvm``: LLVM text.
"""
