"""``UnreadableError``: error for operations of other frameworks that have no counterpart."""

from __future__ import annotations


class UnreadableError(Exception):
    """Error for an operation that cannot be declared.

    The message is the reason, with the operation as "it"; the front end adds the operation's name and line.
    """
