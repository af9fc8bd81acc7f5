"""Pictures of declarations. They are drawn from lowered graphs, so live, saved and imported programs look alike.

- ``pictures``: the entry point.
- ``declaration``: makes ``boxes`` of a lowered graph, with nodes as equations of ``expressions``; ``nesting`` finds the
  cells. ``step_names`` names the values of a step, ``extremes`` finds ``argmax``, and ``node_texts`` are shared texts.
- ``layered``: arranges boxes; ``drawing`` and ``arrows`` make ``shapes`` of them.
- ``painting``: paints shapes in colours of the ``palette`` on a surface of ``svg`` or ``png``.
"""
