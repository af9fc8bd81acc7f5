"""Tables about a program: ``summary`` of its layers, their ``sensitivity`` to narrow weights, and ``memory_report``."""
