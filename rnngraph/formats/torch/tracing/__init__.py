"""A run of a module on tensors without values.

Read in this order:

- ``sizes``: facts about symbolic sizes. ``numbers``: numbers that the module's code computes from symbolic sizes.
- ``values``: lazy values. ``tensors``: tensors as the module sees them, writes through views, and nested
  arguments. ``materialize``: declares lazy values in the script.
- ``kinds``: types of the arguments and results of calls. ``registry``: tables of handlers.
- ``tracer``: receives every call of a torch function. Its parts are ``calls`` and ``names`` (facts about functions),
  ``answers`` (calls that return no tensor), ``meta_results`` (shapes and dtypes by torch) and
  ``moved_axes`` (moves transposes past elementwise calls).
- ``patches``: changes to modules during a run. ``python_functions``: replaces ``len``, ``int`` and others in the
  module's code. ``branches``: computes both sides of branches on values. ``cuts``: time axes that torch cuts.
"""
