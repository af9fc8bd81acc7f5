"""The graph IR that all other packages share: types and sizes, the table of ops, nodes and graphs.

Read ``sizes``, ``types`` and ``node`` first. Then read ``ops`` and ``elementwise_ops``, the table with one row for each
op. The columns of a row come from these modules:

- ``type_rules``: type inference;
- ``attributes``: valid attribute values;
- ``axis_rules``: how axes of operands map to axes of the result, in the terms of ``axis_maps``;
- ``numbers``: the value in NumPy;
- ``derivatives``: the adjoints of the operands.

Then read ``graph`` and ``scan``, which names the parts of a loop. The other modules work on whole graphs:

- ``interpreter`` defines what a graph computes, and ``verifier`` which graphs are valid;
- ``printer`` and ``dot`` print a graph, and ``text`` parses the printed form;
- ``build`` has small node builders;
- ``axes`` determines which axes are rows or time, and how axes map through a graph;
- ``equal_sizes`` handles sizes whose equality is known only at run time.

The IR depends neither on the declaration API nor on code generation.
"""

from . import ops as ops  # imported for the rows of the table of ops
