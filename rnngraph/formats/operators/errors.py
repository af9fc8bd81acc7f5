"""The error of a foreign operation that has no counterpart."""

from __future__ import annotations


class UnreadableError(Exception):
    """A foreign operation can't be declared. The text tells why; the front end adds the operation and its place."""
