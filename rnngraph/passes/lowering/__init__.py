"""Lowering of a declaration to one graph.

``lower`` is the entry point. ``names`` settles the names of scopes and parameters, and ``scan_body`` turns drivers
into scans. ``sized_nodes`` makes nodes and solves their sizes, ``random_nodes`` makes random numbers, and
``step_draws`` those of a step. ``context`` is shared, ``lowered`` is the result, and ``kept_states`` handles states
that a net takes and returns by name.
"""
