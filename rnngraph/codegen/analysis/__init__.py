"""What of a graph goes together, seen from the graph alone: ``loop_fusion`` (ops over one time axis), ``kernel_fusion``
(ops that one loop nest computes), ``row_lengths`` and ``row_independence`` (rows of a batch that end, or stand
alone).
"""
