"""Cost estimates. They affect the speed of code, and never the values that it computes.

- ``register_tiles``: shapes of register tiles.
- ``chunk_length``: number of time steps in a chunk.
- ``work_sharing``: kernels that workers share.
- ``pipelining``: loops over time in stages, which several workers run.
- ``interleaving``: independent scans in one loop of one worker.

The estimates depend on the graph and the processor, but not on buffers and loops.
"""
