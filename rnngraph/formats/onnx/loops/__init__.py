"""Loops of a file as drivers of cells that the script declares. ``steps`` lays out what goes from step to step as rows;
``scan`` and ``loop`` read the nodes, of which the second says how many steps it runs only by what it computes.
``written`` is of arrays that steps write to.
"""
