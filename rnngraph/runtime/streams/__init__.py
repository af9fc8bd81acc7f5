"""A net step by step: ``causality`` says whether it can be, ``step_graph`` has its states as inputs and outputs,
``stream`` is what users hold, ``rows`` steps some rows of a batch, ``prepared_step`` is the short way.
"""
