"""A net step by step. ``causality`` says whether it can be; ``step_graph`` has its states as inputs and outputs,
``states`` and ``sequence_end`` know what these begin with and owe at the end. ``stream`` is a batch that users hold,
``prepared_step`` the runner that carries its states on, ``held_inputs`` what it holds of feeds without a time axis.

Some rows of many: ``independent_rows`` and ``row_graph`` say whether one entry serves any number of rows, ``row_steps``
runs it over rows of tables, ``rows`` and ``some_rows`` do so for a stream. ``pool`` holds streams that join and leave,
as rows of ``stream_table``; ``held_feeds`` and ``step_feeds`` bring what they are fed into form, ``serving`` is their
queue for many callers. Knows no programs.
"""
