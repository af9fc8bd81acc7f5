"""The command line: ``entry`` parses arguments and runs graph scripts, ``commands`` has the other commands."""

from .entry import main

__all__ = ["main"]
