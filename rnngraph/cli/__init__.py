"""The command line: ``entry`` parses arguments and runs graph scripts, ``commands`` has the other commands.

``arguments`` are those that several commands take, and ``warnings_of`` prints warnings as a command's.
"""

from .entry import main

__all__ = ["main"]
