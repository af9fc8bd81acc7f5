"""Scheduling of an entry in three phases, each of which returns one frozen record.

``scheduler`` runs them: ``analyse`` decides what runs together and on which workers, ``plan`` places values and tiles
kernels, and ``emit`` writes the plan. ``plan_text`` is ``show("plan")``. Nothing here knows LLVM.
"""
