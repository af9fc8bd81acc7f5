"""Draws a declaration.

``pictures`` is the entrance. ``declaration`` makes ``boxes`` of a lowered graph, with nodes as equations of
``expressions``, in the cells that ``nesting`` finds; ``step_names`` names the values of a step, ``extremes`` finds
``argmax``, and ``node_texts`` are shared texts of nodes. ``layered`` arranges boxes, ``drawing`` and ``arrows`` make
``shapes`` of them, and ``painting`` paints these in colours of the ``palette`` on a surface of ``svg`` or ``png``.
It reads lowered graphs, so live, saved and imported programs look alike; it knows no cell classes.
"""
