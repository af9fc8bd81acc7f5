"""Execution of compiled graphs. This package depends neither on programs nor on trainers.

- ``native``: machine code of one graph.
- ``direct``: methods that CPython runs as machine code, without Python code.
- ``calls``: calls of native code with feeds, which return results.
- ``streams``: execution step by step.
- ``parameters``: the weights of a net; ``packed_parts``: their packed copies for compiled code.
- ``graph_source``: the declaration from which a program's graphs are made.
- ``graph_file``: derived graphs in the cache.
- ``error_flags``: flags by which native code reports samples of NaN logits, and steps past a table's end.
- ``class_names``: names of the classes that outputs score.
"""
