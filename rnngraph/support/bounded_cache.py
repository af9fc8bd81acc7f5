"""Dicts that hold a limited number of entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .forks import Order, fork_lock

Key = TypeVar("Key")
Value = TypeVar("Value")

_LOCK = fork_lock(Order.LAST)
"""Lock of all changes of all caches: they are rare and short, and a fork waits for one lock alone."""


class BoundedCache(dict[Key, Value]):
    """A dict that evicts an entry before it would hold more than ``limit``. Any thread may use it.

    The oldest entry goes first; with ``used``, the entry that was used longest ago. Reading is that of a dict and takes
    no lock, so a reader notes by itself that it used a value. Add entries by ``cache[key] = value`` or ``setdefault``.
    """

    def __init__(self, limit: int, used: Callable[[Value], int] | None = None) -> None:
        """used: gives when a value was used last, as a number that grows with time."""
        super().__init__()
        self.limit, self._used = limit, used

    def __setitem__(self, key: Key, value: Value) -> None:
        with _LOCK:
            gone = [*self._evicted(key), self.get(key)]
            super().__setitem__(key, value)
        del gone  # behind the lock: destructors may take other locks

    def setdefault(self, key: Key, value: Value) -> Value:
        """Store a value, unless another thread stored one before. Return the value that is stored."""
        with _LOCK:
            gone = self._evicted(key)
            stored = super().setdefault(key, value)
        del gone
        return stored

    def clear(self) -> None:
        """Drop all entries."""
        with _LOCK:
            gone = {**self}
            super().clear()
        del gone

    def _evicted(self, key: Key) -> list[Value]:
        """Make room for a key, and return the values that had to go. The caller holds the lock."""
        gone: list[Value] = []
        while key not in self and len(self) >= self.limit:
            gone.append(self.pop(self._next()))
        return gone

    def _next(self) -> Key:
        """The key whose entry goes next."""
        used = self._used
        return next(iter(self)) if used is None else min(self, key=lambda key: used(self[key]))
