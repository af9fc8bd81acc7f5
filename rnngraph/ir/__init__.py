"""The graph IR, in which every other room speaks: types and sizes, one table of ops, nodes and graphs.

Read ``sizes``, ``types`` and ``node``, then ``ops`` (an op is a row), whose rows take from ``type_rules`` what a value
is, from ``attributes`` what attributes may be, and from ``derivatives`` what operands receive; then ``graph``, and
``scan``, a loop by the names of its parts. ``interpreter`` is the definition of what a graph computes, with ``narrow``
and ``random`` numbers; ``verifier`` of what is a graph, ``printer`` of its text, which ``text`` reads back. ``build``
has small builders. ``axes`` says which axis counts steps or rows, ``equal_sizes`` which sizes only a call can tell to
be equal, and ``dot`` is a graph in Graphviz's language. Knows neither what users write nor machine code.
"""

from . import ops as ops  # without whose rows there is nothing to make graphs of
