"""Graphs of chunks of sequences, for nets that look back or ahead in time or run at a lower rate.

Three passes prepare a graph. ``cut_axes`` replaces reshapes that cut time by windows, ``split_axes`` keeps rows and
steps on separate axes where a reshape merges them, and ``pads_outward`` moves padding after ops that work step by step.

``stream_rate`` describes how sizes grow with time, and ``kept_pasts`` finds states that hold past entries. ``timeline``
has the delay of each value, and the number of past entries to keep; ``delays`` computes both. ``chunk_graph`` builds
the graph of a chunk and the graph of a sequence's end. Streams run both. ``chunk_states`` has the states of a chunk
other than those of loops. ``row_positions`` handles values that differ by row because rows have different step numbers.
"""
