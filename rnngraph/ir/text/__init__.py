"""Text forms of graphs.

``parser`` parses the printed form, and ``complete`` writes the lossless form for storage. ``plain`` is the form of the
cache, which is fast to read. ``source`` extracts variable names from the user's source lines. ``fingerprint`` hashes
what a graph computes.
"""
