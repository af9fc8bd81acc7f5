"""Rolls up unrolled loops: a driver replaces the repeated steps that tracers and exporters leave in a ``Script``.

A driver is a call such as ``rg.dynamic_rnn``, which runs a cell over time.

``scripts`` has ``rolled_up``, the entry point. ``loop_search`` finds loops, for which ``equal_runs`` compares
iterations. ``loop`` describes a loop, and ``lifting`` replaces it. Recurrent cells become drivers. Steps that do not
depend on the previous iteration become calls on whole sequences, if ``elementwise`` lists their functions.
``own_cells`` makes a cell of the remaining steps, by ``cell_calls``. ``parts`` reshapes and compares values.
``step_numbers`` finds numbers that differ between iterations, by the ``formulas`` of the iteration's index.
"""
