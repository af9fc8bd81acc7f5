"""Estimates, which decide what is fast and never what is computed.

``register_tiles`` (shapes of tiles), ``chunk_length`` (steps of time that run together), ``work_sharing`` (how
kernels are cut between workers), ``pipelining`` (loops over time whose stages workers take), ``interleaving`` (scans
beside each other). Knows the graph and the processor; no buffers, and no loops.
"""
