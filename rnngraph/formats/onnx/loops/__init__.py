"""Loops of a file, as drivers of cells that the script declares.

``steps`` lays out carried values as rows. ``scan`` and ``loop`` read the nodes; the number of steps of a Loop follows
from its condition. ``written`` handles arrays that steps write to.
"""
