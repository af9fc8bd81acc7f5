"""Rolls up unrolled loops: replaces the repeated steps of a ``Script``, from tracers and exporters, by a driver.

``scripts`` has ``rolled_up``, the entry point. ``loops`` finds loops, ``loop`` describes one loop, and ``lifting``
replaces a loop. Recurrent cells become drivers. Steps that need no earlier step become calls on whole sequences, if
``elementwise`` lists their functions. ``own_cells`` makes a cell of the remaining steps. ``parts`` has helpers.
"""
