"""From a graph to machine code. ``compile`` is the door: a graph in, an object file and its interface out.

In the order of the work: ``machine`` (a processor, LLVM), ``direct_calls`` (what CPython calls, the one room that knows
Python's objects), ``loop_ir`` (the language between graph and LLVM), ``analysis`` (what of a graph goes together),
``threads``, ``cost_model`` (estimates, which never change values), ``buffers`` (where values lie), ``kernels`` (each is
planned once and written as one loop nest), ``schedule`` (the entry: what runs when), ``llvm`` (text). Each room imports
only those before it. Knows no cells.
"""
