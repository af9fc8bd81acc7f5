"""The graph IR, in which every other room speaks: types and sizes, one table of ops, nodes and graphs.

Read ``types`` and ``node``, then ``ops`` (an op is a row) and ``graph``; ``interpreter`` is the definition of what a
graph computes, ``verifier`` of what is a graph, ``printer`` of its text, which ``text`` reads back. ``build`` has small
builders. Knows neither what users write nor machine code.
"""

from . import ops as ops  # without whose rows there is nothing to make graphs of
