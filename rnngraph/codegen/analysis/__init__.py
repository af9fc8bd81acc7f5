"""Analyses of a graph for code generation.

``node_kinds`` classifies single nodes, ``directions`` settles the direction of loops over time, ``loop_fusion`` groups
ops over one time axis, ``kernel_fusion`` cuts a group into kernels, ``residency`` lists the values in memory while it
runs, and ``chunk_needs`` the dependencies of its kernels within a chunk of time. ``row_lengths`` finds rows of a batch
that end, and ``row_independence`` rows that are independent. Nothing here knows buffers or loops.
"""
