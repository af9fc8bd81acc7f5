"""Synchronisation and work sharing of worker threads, as LLVM text.

``barrier`` (all wait for all), ``spin_wait`` (how long to spin before sleeping), ``claim`` (dynamic scheduling of
tasks), ``pool_functions`` (what a pool's threads run; ``runtime/native/worker_pool`` starts them), ``semaphore_calls``
(the system's semaphores), ``floating_point_mode`` (which workers adopt from their caller). Nothing here knows kernels
or graphs.
"""
