"""Run time of compiled graphs. Depends neither on programs nor on trainers.

- ``native``: machine code of one graph.
- ``direct``: entry points that CPython calls without Python code in between.
- ``calls``: feeds in, results out.
- ``streams``: execution step by step.
- ``parameters``: the weights of a net; ``packed_parts``: their packed copies for compiled code.
- ``graph_source``: the declaration behind a program's graphs.
- ``samples``: outputs that are samples, and the error for NaN logits.
- ``class_names``: names of the classes that outputs score.
"""
