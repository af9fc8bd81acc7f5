"""torch's modules, read by running them once on tensors without values. Read ``sizes``, which are open as long as the
module lets them; ``values``, what such a tensor stands for; ``tracer``, which takes every call of torch's; then what the
calls mean: ``elementwise``, ``shapes``, ``reductions``, ``layers``, ``attention``, ``recurrent`` and ``packed``.
``read`` is the door, and alone may be imported without torch.
"""
