"""A net step by step: ``causality`` says whether it can be, ``step_graph`` has its states as inputs and outputs,
``stream`` is what users hold, ``rows`` steps some rows of a batch, and ``prepared_step`` runs feeds of a signature that
was met before. Knows no programs.
"""
