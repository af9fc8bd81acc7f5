"""The machine code of one graph: ``compiled_graph`` finds or makes an ``entry`` for the sizes of a call, from the
``object_cache`` where it can; ``preconditions`` are checked before it runs, and ``worker_pool`` shares its work.
"""
