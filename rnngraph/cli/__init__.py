"""Command line: ``entry`` parses arguments and runs graph scripts; ``commands`` has the other commands.

``arguments`` adds arguments that several commands share. ``printed_warnings`` prints warnings in a command's style,
and ``older_numpy`` has names of NumPy 1 for scripts.
"""

from .entry import main

__all__ = ["main"]
