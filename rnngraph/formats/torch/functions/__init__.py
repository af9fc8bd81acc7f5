"""Handlers of torch functions and modules, which declare the calls of a traced module in a script.

Handlers of functions: ``elementwise``, ``logic``, ``activations``, ``shapes``, ``slicing``, ``joining`` (and
splitting), ``writing`` (in place), ``filling``, ``reductions`` and ``orders`` (sorting, gathers and scatters). Handlers
of layers: ``products``, ``layers``, ``windows``, ``attention``, ``recurrent`` and ``packed``. ``backend`` adapts the
tracer to ``formats.operators``.

A file registers its handlers with ``reads`` and ``reads_module`` of ``tracing.registry``. A handler of a module
replaces ``forward``, which is then not run.
"""
