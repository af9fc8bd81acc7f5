"""What calls of torch's mean. ``elementwise``, ``logic``, ``activations``, ``shapes``, ``slicing``, ``joining`` (and
parting, as ``unbind`` does), ``writing``, ``filling``, ``reductions`` and ``orders`` (and entries at indices) hold
functions; ``products``, ``layers``, ``windows``, ``attention``, ``recurrent`` and ``packed`` hold layers. A file says
by ``meaning`` and ``module`` of ``tracing.registry`` what it knows; none runs a module. ``backend`` is what
``formats.operators`` takes.
"""
