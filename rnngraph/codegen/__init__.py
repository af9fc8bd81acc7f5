"""Code generation: from a graph to machine code. ``compile`` returns an object file and its calling interface.

The rooms in order: ``machine`` (a processor, LLVM), ``direct_calls`` (calls from CPython, the only room that knows
Python's objects), ``loop_ir`` (the intermediate language between graph and LLVM), ``analysis`` (fusion of a graph's
ops), ``threads``, ``cost_model`` (estimates, which never change values), ``buffers`` (memory of values), ``kernels``
(each planned once and written as one loop nest), ``schedule`` (an entry: what runs when), ``llvm`` (text). Each room
imports only earlier ones. Nothing here knows a cell.
"""
