"""Locks in processes that fork: a fork waits until nobody holds one, so that the child finds each free, and whole what
it guards.
"""

from __future__ import annotations

import os
import threading
from enum import IntEnum
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

PATIENCE, PATIENCE_WITH_RUNS = 10.0, 2.0
"""Seconds after which a fork goes on although a lock is held: users' code may hold two in an order of its own; and that
of a run, which a fit holds from its first step to its last.
"""


class Order(IntEnum):
    """Who holds a lock may take those that come later, and a fork takes them in this order."""

    RUN = 0
    """Of trainers and pools, for a whole step."""
    GRAPH = 1
    """Of what is compiled."""
    ENTRY = 2
    """Of machine code."""
    LAST = 3
    """Of those whose holders take no other."""


_FORKING = threading.RLock()
"""One thread forks at a time."""
_LOCKS: WeakKeyDictionary[Any, Order] = WeakKeyDictionary()
_HELD: list[Any] = []


def fork_lock(order: Order, lock: Any = None) -> Any:
    """A lock that forks wait for. lock: the lock itself; None: one that its holder may take again."""
    lock = threading.RLock() if lock is None else lock
    _LOCKS[lock] = order
    return lock


def _before() -> None:
    _FORKING.acquire()
    begin = monotonic()
    there = [lock for reference in _LOCKS.keyrefs() if (lock := reference()) is not None]  # threads may make more now
    _HELD.clear()
    for lock in sorted(there, key=_LOCKS.__getitem__):
        patience = PATIENCE_WITH_RUNS if _LOCKS[lock] == Order.RUN else PATIENCE
        if lock.acquire(timeout=max(0.0, begin + patience - monotonic())):
            _HELD.append(lock)


def _after() -> None:
    for lock in _HELD:
        lock.release()
    _HELD.clear()
    _FORKING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
