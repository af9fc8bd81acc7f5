"""Functions of torch's that others of torch's compute: each is written with those, and read as they are. ``elements``
has those of single elements and of pairs, and products; ``axes`` moves, joins and windows; ``ordering`` picks
by index and sums so far; ``losses`` what modules compute of labels.
"""
