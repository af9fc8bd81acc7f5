"""Synchronisation and work sharing of worker threads, as LLVM text. It is independent of kernels and graphs.

- ``barrier``: all workers wait for all others.
- ``spin_wait``: how long a worker spins before it sleeps.
- ``claim``: dynamic scheduling of tasks.
- ``pool_functions``: functions that a pool's threads run, on the memory of ``pool_memory``.
  ``runtime/native/worker_pool`` starts the threads.
- ``semaphore_calls``: the system's semaphores.
- ``floating_point_mode``: the mode that workers adopt from their caller.
"""
