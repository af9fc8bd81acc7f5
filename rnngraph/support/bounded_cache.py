"""Dicts that hold a limited number of entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .forks import Order, fork_lock

Key = TypeVar("Key")
Value = TypeVar("Value")

_ABSENT: Any = object()
_LOCK = fork_lock(Order.LAST)
"""Lock of all changes of all caches: they are rare and short, and a fork waits for one lock alone."""


class BoundedCache(dict[Key, Value]):
    """A dict that evicts an entry before it would hold more than ``limit``. Any thread may use it.

    The oldest entry goes first; with ``used``, the entry that was used longest ago. Reading is that of a dict and takes
    no lock, so a reader notes by itself that it used a value. Add entries by ``cache[key] = value`` or ``setdefault``.
    """

    def __init__(
        self,
        limit: int,
        used: Callable[[Value], int] | None = None,
        is_pinned: Callable[[Value], object] | None = None,
    ) -> None:
        """Make an empty cache.

        Args:
            used: gives when a value was used last, as a number that grows with time.
            is_pinned: true of a value that stays, although others beyond the limit then stay, too.
        """
        super().__init__()
        self.limit, self._used, self._is_pinned = limit, used, is_pinned

    def get_or_make(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of a key. If the key has none, make and store it."""
        value: Value = self.get(key, _ABSENT)
        return value if value is not _ABSENT else self.setdefault(key, make())

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
            free = iter(self) if self._is_pinned is None else (key for key in self if not self._is_pinned(self[key]))
            used = self._used
            first = next(free, _ABSENT) if used is None else min(free, key=lambda key: used(self[key]), default=_ABSENT)
            if first is _ABSENT:
                break
            gone.append(self.pop(first))
        return gone
