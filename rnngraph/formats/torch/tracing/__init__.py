"""A run of a module on tensors without values.

Read in this order:

- ``sizes``: symbolic sizes, which stay open as long as the module lets them; ``numbers``: results that its code
  computes from them.
- ``values``: lazy values, for which a tensor may stand; ``tensors``: a tensor as the module sees it, and
  writes through views; ``materialize``: lazy values become values of the script.
- ``kinds``: types of what calls take and return; ``registry``: the tables of handlers.
- ``tracer``: receives every call of torch's functions. ``calls`` and ``names`` hold facts about these calls,
  ``answers`` the calls that return no tensor, ``meta_results`` the shapes and dtypes that torch computes, and ``nests``
  nested arguments. ``moved_axes`` moves transposes past elementwise calls.
- ``patches``: changes to modules for the time of a run; ``python_functions``: ``len``, ``int`` and others in the
  module's code; ``cuts``: time axes that torch cuts.
"""
