"""Machine code of one graph. This package does not depend on the form of callers' feeds and results.

- ``compile_options``: options of the compiler, with ``weight_options`` for number formats of weights.
- ``object_cache``, ``object_file``: compiled code on disk.
- ``notices``: listeners for compilation.
- ``worker_pool``, ``adaptive_threads``: worker threads, and the policy for their use.
- ``optimized_graph``: the graph after its passes, with the ``preconditions`` and ``size_bounds`` of calls.
- ``recompute_option``: the choice of rematerialisation in gradients.
- ``compiled_graph``: entries by sizes; ``entry``: one entry and its resources.
- ``argument_block``, ``aligned_memory``: memory of a call.
- ``stages``: the graph as text; ``perf``: symbols for Linux perf.
"""
