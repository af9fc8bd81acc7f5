"""Tables about a program: ``summary`` of layers, their ``sensitivity`` to narrow weights, ``memory_report``."""
