"""Functions with CPython's calling convention that run prepared calls.

``plan`` is the layout of the memory that controls them. ``arguments`` finds and checks arguments, ``arrays`` copies
feeds and makes results, ``call`` runs, all built from ``instructions``. ``module`` combines them.

One module serves all nets: a plan describes each feed and result, and which entry runs on which argument block.
Functions of CPython and NumPy are called by the addresses passed to ``direct_begin``, so that the module has no
external symbols and can be cached on disk. A call that does not match its plan is passed on to the Python function of
its trampoline, before anything was done. Nothing here knows a graph.
"""
