"""What of a graph goes together, seen from the graph alone.

``node_kinds`` answers questions about one node, ``directions`` says which way loops over time must go, ``loop_fusion``
groups ops over one time axis, ``kernel_fusion`` cuts a group into kernels, ``residency`` says which values lie in
memory when it runs, and ``chunk_needs`` what its kernels need of each other within a chunk of time. ``row_lengths``
and ``row_independence`` find rows of a batch that end, or stand alone. Knows neither buffers nor loops.
"""
