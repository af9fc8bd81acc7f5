"""A net step by step: ``causality`` says whether it can be, ``step_graph`` has its states as inputs and outputs,
``stream`` is what users hold, ``rows`` are some of a batch, and ``prepared_step`` is a prepared call that carries
states on. Knows no programs.
"""
