"""The graph IR, in which every other room speaks: types and sizes, one table of ops, nodes and graphs.

Read ``types``, then ``ops`` (an op is a row) and ``graph``; ``interpreter`` is the definition of what a graph computes,
``verifier`` of what is a graph. ``text`` prints and reads graphs back. Knows neither what users write nor machine code.
"""
