"""Users' examples as batches. ``sources`` are the forms in which examples come; ``examples`` reads them and fills up
with zeros; ``batches`` decides which go together and to which length. ``clocks`` and ``input_axes`` say where time
and rows lie; ``padding_safety`` and ``row_mixing`` say whether padding, or other rows, would show in results, and
``further_padding`` makes batches that show it. Knows what graphs take, and neither programs nor trainers.
"""
