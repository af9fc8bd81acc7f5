"""Cost estimates. They decide how fast code is, and never which values it computes.

``register_tiles`` (shapes of tiles), ``chunk_length`` (time steps that run together), ``work_sharing`` (kernels split
between workers), ``pipelining`` (loops over time in stages), ``interleaving`` (independent scans in one loop). They
know the graph and the processor, but no buffers and no loops.
"""
