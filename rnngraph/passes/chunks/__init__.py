"""Graphs of chunks of sequences, for nets that look back or ahead in time or run at a lower rate.

Three passes prepare a graph:

- ``cut_padding`` removes padding at the end that the net cuts off later.
- ``cut_axes`` replaces reshapes that cut the time axis into pieces by windows.
- ``pads_outward`` moves padding after ops that work step by step.

Then the graphs are built that streams run, one for chunks and one for the end of a sequence:

- ``stream_rate``: growth of sizes with time; ``kept_pasts``: states of the net that hold past entries.
- ``timeline``: the delay of each value and the number of past entries to keep, which ``delays`` computes.
- ``chunk_graph``: builds the graphs; ``chunk_states``: states of a chunk other than those of loops.
- ``stored_states``: forms in which streams store states, such as matrices with the axes in which steps compute.
- ``before_start``: entries in place of those before the first; ``first_entries``: values known at the first step.
- ``row_positions``: values that differ by row because rows have different step numbers.
"""
