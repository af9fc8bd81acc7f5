"""Graphs from text: ``parser`` reads what ``ir.printer`` writes, ``complete`` writes the form that is stored;
``source`` finds what the user's lines call the values they make, ``fingerprint`` tells apart what graphs compute.
"""
