"""The entry: what runs when, in three phases, each of which gives one frozen record.

``scheduler`` goes through them: ``analyse`` says what runs together and who computes what, ``plan`` where values lie
and how kernels are tiled, ``emit`` writes what was planned. ``plan_text`` is ``show("plan")``. Knows no LLVM.
"""
