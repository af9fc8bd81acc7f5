"""``UnreadableError``: error for operations of other frameworks that have no counterpart."""

from __future__ import annotations


class UnreadableError(Exception):
    """An operation cannot be declared. The message is the reason; the front end adds the operation's name and line."""
