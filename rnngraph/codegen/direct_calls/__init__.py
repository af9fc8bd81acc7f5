"""Functions with CPython's calling convention that run prepared calls. ``plan`` lays out the memory that tells them
what to do; ``arguments`` finds and checks what a call is given, ``arrays`` copies and makes what it gives, ``call``
runs it, all of ``instructions``; ``module`` puts them together.

One module serves all nets: a plan says of each feed and result what it is and where it goes, and which entry runs on
which argument block. Functions of CPython and NumPy are called by the addresses that ``direct_begin`` is given, so the
module refers to no symbol and can be kept on disk. Whatever is not plainly as the plan says is left to the function in
Python that a trampoline stands for, and nothing was done until then. Knows no graph.
"""
