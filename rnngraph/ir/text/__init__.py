"""Graphs from text: ``parser`` reads what ``ir.printer`` writes, ``complete`` writes the form that is stored."""
