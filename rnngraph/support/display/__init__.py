"""Rendering of texts and numbers for terminals and notebooks.

``colours`` highlights the syntax of a stage's text. ``html`` builds HTML fragments and escapes user text. ``charts``
draws columns of numbers as SVG. Nothing here knows about programs.
"""
