"""A declaration as a picture. ``boxes`` says what is drawn, ``expressions`` writes nodes as equations; ``declaration``
makes boxes of a lowered graph, and ``nesting`` finds the cell that an equation belongs to (``node_texts``: what both
write of nodes). ``layered`` places what depends on each other; ``drawing`` and ``arrows`` make ``shapes`` of it, lines
and texts, which ``painting`` paints in colours of the ``palette`` on a surface of ``svg`` or ``png``. ``pictures`` is
the entrance. It reads what lowering gives, so live, saved and
imported programs are drawn alike; it knows no cell.
"""
