"""What calls of torch's mean. ``elementwise``, ``activations``, ``shapes``, ``slicing``, ``joining``, ``filling`` and
``reductions`` hold functions; ``products``, ``layers``, ``planes``, ``attention``, ``recurrent`` and ``packed`` hold
layers. A file says by ``meaning`` and ``module`` of ``tracing.tracer`` what it knows; none runs a module.
"""
