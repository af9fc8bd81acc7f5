"""Graphs as text: ``printer`` writes it, ``parser`` reads it back, ``complete`` is the form that is stored."""
