"""Cache with a limited number of entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .forks import LockLevel, fork_lock

Key = TypeVar("Key")
Value = TypeVar("Value")

_ABSENT: Any = object()
_LOCK = fork_lock(LockLevel.LAST)
"""Lock for changes of any cache. Changes are rare and short, and one lock keeps forks cheap."""


class BoundedCache(dict[Key, Value]):
    """Thread-safe dict that evicts an entry rather than hold more than ``limit``.

    A full cache evicts the oldest entry, or with ``used`` the least recently used one. Reads are a plain dict's and
    take no lock, so readers record their use of a value themselves. Add entries by ``cache[key] = value`` or
    ``setdefault``.
    """

    def __init__(
        self,
        limit: int,
        used: Callable[[Value], int] | None = None,
        is_pinned: Callable[[Value], object] | None = None,
    ) -> None:
        """Make an empty cache.

        Args:
            limit: Maximum number of entries.
            used: Function that returns when a value was last used, as a number that grows with time.
            is_pinned: Predicate for values that are never evicted, even if the cache then exceeds ``limit``.
        """
        super().__init__()
        self.limit, self._used, self._is_pinned = limit, used, is_pinned

    def get_or_make(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of a key, which ``make`` computes if it is missing.

        Several threads may compute a value at the same time, because ``make`` runs without the lock. All of them get
        the value that is stored first.
        """
        value: Value = self.get(key, _ABSENT)
        return value if value is not _ABSENT else self.setdefault(key, make())

    def __setitem__(self, key: Key, value: Value) -> None:
        with _LOCK:
            evicted = [*self._evict(key), self.get(key)]
            super().__setitem__(key, value)
        del evicted  # after the lock is released, because destructors may take other locks

    def setdefault(self, key: Key, value: Value) -> Value:
        """Store a value unless the key has one. Return the stored value."""
        with _LOCK:
            evicted = self._evict(key)
            stored = super().setdefault(key, value)
        del evicted
        return stored

    def clear(self) -> None:
        """Drop all entries."""
        with _LOCK:
            evicted = {**self}
            super().clear()
        del evicted

    def _evict(self, key: Key) -> list[Value]:
        """Evict entries until there is room for a key. Return the evicted values. The caller holds the lock."""
        evicted: list[Value] = []
        while key not in self and len(self) >= self.limit:
            free = iter(self) if self._is_pinned is None else (key for key in self if not self._is_pinned(self[key]))
            used = self._used
            first = next(free, _ABSENT) if used is None else min(free, key=lambda key: used(self[key]), default=_ABSENT)
            if first is _ABSENT:
                break
            evicted.append(self.pop(first))
        return evicted
