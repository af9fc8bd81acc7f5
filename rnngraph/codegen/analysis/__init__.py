"""Analyses of a graph for code generation. They are independent of buffers and loops.

- ``node_kinds``: classes of single nodes.
- ``directions``: directions of loops over time.
- ``loop_fusion``: groups of ops over one time axis; ``kernel_fusion`` cuts a group into kernels.
- ``residency``: values in memory while a group runs.
- ``chunk_needs``: dependencies of a group's kernels within a chunk of time.
- ``row_lengths``: rows of a batch that end early; ``row_independence``: rows that are independent of each other.
"""
