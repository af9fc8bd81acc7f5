"""Reads Loop and Scan nodes as drivers: calls such as ``rg.dynamic_rnn``, which run a cell over time.

``steps`` lays out carried values as rows. ``scan`` and ``loop`` read the nodes; ``loop`` infers the trip count from the
condition. ``written`` handles arrays that steps write to.
"""
