"""Runs a module on tensors without values, and intercepts its calls of torch functions.

Read in this order:

- ``sizes``: known equalities and limits of symbolic sizes. ``numbers``: numbers that the module's code computes from
  symbolic sizes.
- ``values``: lazy values. ``tensors``: tensors as the module's code sees them, writes through views, and nested
  arguments. ``materialize``: declares lazy values in the script.
- ``kinds``: types of the arguments and results of calls. ``registry``: tables of handlers.
- ``tracer``: intercepts every call of a torch function. It uses ``calls`` and ``names`` (tables of functions),
  ``python_results`` (calls that return no tensor), ``meta_results`` (shapes and dtypes by torch) and
  ``moved_axes`` (moves transposes past elementwise calls).
- ``patches``: changes modules during a run. ``python_functions``: replaces ``len``, ``int`` and similar functions in
  the module's code. ``branches``: computes both sides of branches on values. ``cuts``: time axes that torch cuts.
"""
