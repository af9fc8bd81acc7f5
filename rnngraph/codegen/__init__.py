"""Code generation: from a graph to machine code. ``compile`` returns an object file and its calling interface.

The packages in order. Each imports only earlier ones, and none depends on cells:

- ``machine``: descriptions of processors, and compilation by LLVM.
- ``direct_calls``: machine code that CPython calls. No other package depends on Python's objects.
- ``loop_ir``: the intermediate language between graph and LLVM.
- ``analysis``: fusion of a graph's ops.
- ``threads``: synchronisation of worker threads.
- ``cost_model``: estimates of run time, which never change values.
- ``buffers``: memory of values, and packing of weights.
- ``kernels``: kernels, each planned once and written as one loop nest.
- ``schedule``: entry functions, and the order in which their kernels run.
- ``llvm``: LLVM text of the loop IR.
"""
