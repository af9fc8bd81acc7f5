"""What users hold: ``program`` is one declaration as ``inference_graph`` and ``training_graph``, both of them a
``callable_graph``. ``predict`` runs over examples, ``summary`` and ``memory_report`` say what a net is and takes.
"""
