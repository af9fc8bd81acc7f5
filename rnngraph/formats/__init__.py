"""Nets of other formats, read into declarations. ``script`` declares and writes down what it declares; ``net`` is
what a reader gives; ``reading`` opens files that nobody vouches for; ``layers`` and ``weights`` turn gates from one
order into another; ``rolling`` makes drivers of steps that are written out. Above them one file, or one room, a format.
Readers declare with the public API and execute nothing of what they read.
"""
