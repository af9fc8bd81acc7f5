"""Analyses of a graph for code generation. They are independent of buffers and loops.

- ``node_kinds``: classification of single nodes.
- ``directions``: directions of loops over time.
- ``loop_fusion``: groups of ops that share a loop over time; ``kernel_fusion`` divides a group into kernels,
  and ``independent_parts`` a long kernel into parts.
- ``needed_in_memory``: values that readers need in memory.
- ``residency``: values in memory while a group runs.
- ``chunk_needs``: dependencies between a group's kernels within a chunk of time.
- ``padding``: zeros at the ends of an axis.
- ``row_lengths``: rows of a batch that end early; ``row_independence``: kernels whose rows are independent.
"""
