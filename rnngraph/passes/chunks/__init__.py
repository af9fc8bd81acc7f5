"""From a graph of whole sequences to graphs of chunks, for what looks back or ahead in time or takes every n-th step.

``pace`` says how sizes grow with time, ``kept_pasts`` which states hold a past, ``timeline`` how late each value is and
how much of its past is kept, which ``delays`` decides. ``chunk_graph`` makes the graph of a chunk, and that of a
sequence's end; streams run both.
"""
