"""Users' examples as batches: ``sources`` are the forms in which they come, ``examples`` reads them, ``batches`` pads
and cuts them; ``clocks`` and ``input_axes`` say where time and rows lie, ``padding`` and ``row_mixing`` what may be
padded. Knows what graphs take, and neither programs nor trainers.
"""
