"""LLVM text for synchronisation and work sharing of worker threads. It is independent of kernels and graphs.

- ``barrier``: all workers wait for all others.
- ``spin_wait``: spin loops of waiting workers, which yield the core after a while.
- ``claim``: dynamic scheduling of tasks.
- ``pool_functions``: functions that a pool's threads run. ``runtime/native/worker_pool`` starts the threads.
- ``pool_memory``: layout of the memory of a pool.
- ``semaphore_calls``: calls of the operating system's semaphores.
- ``floating_point_mode``: floating-point mode, which workers adopt from their caller.
"""
