"""The machine code of one graph. ``compile_options`` say how it is made: with ``weight_options`` (how narrow weights
become), the ``object_cache`` and its ``object_file``, ``notices``, and the threads of the ``worker_pool``.
``optimized_graph`` is the graph after its passes, with the ``preconditions`` and ``size_bounds`` of a call;
``recomputation`` says whether gradients compute steps again. ``compiled_graph`` finds or makes an ``entry`` for the
sizes of a call, ``stages`` are its text, ``perf`` tells others of it. An entry takes an ``argument_block`` and
``aligned_memory``, and ``adaptive_threads`` decide whether its work is shared. Knows nothing of what callers feed and
get.
"""
