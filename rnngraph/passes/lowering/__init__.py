"""Lowering of a declaration to one graph.

- ``lower``: the entry point; ``lowered`` is its result.
- ``names``: assigns names to scopes and parameters.
- ``scan_body``: turns drivers into scans.
- ``sized_nodes``: builds nodes, and solves the equations between their sizes.
- ``random_nodes``: builds random ops; ``step_draws`` those of a driver's step.
- ``context``: state that these builders share.
- ``log_scans``: rewrites scans of logarithms in a declaration as linear recurrences, before it is lowered.
- ``kept_states``: states that a net takes and returns by name.
"""
