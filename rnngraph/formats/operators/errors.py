"""The error of a foreign operation that has no counterpart."""

from __future__ import annotations


class UnreadableError(Exception):
    """A foreign operation can't be declared. The text says why; the front end adds which one and where."""
