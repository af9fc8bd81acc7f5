"""Graphs of chunks of sequences, for nets that look back or ahead in time or run at a lower rate.

``stream_rate`` describes how sizes grow with time, and ``kept_pasts`` finds states that hold a past. ``timeline`` has
the delay of each value and the length of the past that is kept of it; ``delays`` computes both. ``chunk_graph`` makes
the graph of a chunk, and that of a sequence's end. Streams run both. ``chunk_states`` has its states beside those of
loops, and ``row_positions`` the values that step numbers make differ from row to row. Before that ``cut_axes`` makes
windows of reshapes that cut time, ``split_axes`` keeps rows and steps apart that a reshape merges, and ``pads_outward``
moves padding behind what is computed of each step.
"""
