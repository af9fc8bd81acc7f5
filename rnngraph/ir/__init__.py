"""The graph IR, in which every other room speaks: types and sizes, one table of ops, nodes and graphs.

Read ``sizes``, ``types`` and ``node``, then ``ops`` (an op is a row), whose rows take from ``type_rules`` what a value
is, from ``attributes`` what attributes may be, from ``axis_rules`` what becomes of operands' axes, in the words of
``axis_maps``, from ``numbers`` what the value is, and from ``derivatives`` what operands receive; then ``graph``, and
``scan``, a loop by the names of its parts. ``interpreter`` is the definition of what a graph computes; ``verifier`` of
what is a graph, ``printer`` of its text, which ``text`` reads back. ``build`` has small builders. ``axes`` answers
questions about axes, ``equal_sizes`` says which sizes only a call can tell to be equal, and ``dot`` is a graph in
Graphviz's language. Knows neither what users write nor machine code.
"""

from . import ops as ops  # without whose rows there is nothing to make graphs of
