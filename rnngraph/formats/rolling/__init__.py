"""Rolls up unrolled loops: replaces the repeated steps of a ``Script``, from tracers and exporters, by a driver.

``scripts`` has ``rolled_up``, the entry point. ``loops`` finds loops, ``loop`` describes one, ``lifting`` replaces it:
recurrent cells become drivers, and steps that need no earlier step become calls on whole sequences (``elementwise``
lists such functions). ``own_cells`` makes a cell of the remaining steps. ``parts`` has helpers.
"""
