"""Functions of torch's that are computed with others of torch's, whose calls the tracer reads.

``elements`` has elementwise functions and products, ``axes`` moves, joins and windows, ``ordering`` selections by index
and sums, and ``losses`` losses of modules that take labels.
"""
