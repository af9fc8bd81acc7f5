"""Native functions with CPython's calling convention, which run calls of a net without Python code.

- ``plan``: memory layout of the plan of a call.
- ``arguments``: functions that find and check arguments.
- ``arrays``: functions that copy feeds and make results.
- ``call``: functions that run a call.
- ``instructions``: builder of these functions.
- ``module``: the module that combines them.

One module serves all nets. A plan describes each feed and result, the entry that runs, and its argument block.
Functions of CPython and NumPy are called by the addresses that ``direct_begin`` receives. The module therefore has no
external symbols, and can be cached on disk. A trampoline is a native function in place of a Python method. If a call
does not match its plan, the trampoline calls the Python method instead, before the call has any effect. This package
does not depend on graphs.
"""
