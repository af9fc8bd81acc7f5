"""Scheduling of an entry in three phases, each of which returns one frozen record.

An entry is the compiled function of a graph: it runs one call.

- ``analyse`` decides which ops run together, and on which workers.
- ``plan`` assigns memory to values and tiles to kernels.
- ``emit`` writes the loop IR.
- ``scheduler`` runs the three phases; ``plan_text`` is the text of ``show("plan")``.

Scheduling does not depend on LLVM.
"""
