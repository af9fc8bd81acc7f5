"""Streaming: execution of a net step by step, with states kept between calls.

- ``causality``: check that a graph can be streamed.
- ``step_graph``: the graph of a step, with states as inputs and outputs.
- ``states``, ``sequence_end``: initial states, and the outputs that are due at the end of a sequence.
- ``stream``: a batch of streams; ``prepared_step`` runs its steps, and ``stream_feeds`` keeps feeds without time axis.
- ``independent_rows``, ``row_graph``: check that one entry can serve any number of rows.
- ``row_steps``, ``rows``, ``some_rows``: steps of selected rows.
- ``pool``, ``stream_table``: streams that join and leave, as rows of tables.
- ``pool_feeds``, ``pool_step_feeds``: a pool's feeds without and with a time axis.
- ``serving``: request queue of a pool.
"""
