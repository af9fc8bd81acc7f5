"""Rolls unrolled loops up: equal steps of a ``Script``, as tracers and exporters write them, become a driver.

``scripts`` has ``rolled_up``, the entry point. ``loops`` finds loops, ``loop`` describes one, ``lifting`` replaces it:
recurrent cells become drivers, and steps that need no earlier step become calls on whole sequences (``elementwise``
lists such functions). ``own_cells`` makes a cell of the remaining steps. ``parts`` has helpers.
"""
