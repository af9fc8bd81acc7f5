"""Locks in processes that fork: a fork waits until nobody holds one, so that the child finds each free, and whole what
it guards.
"""

from __future__ import annotations

import os
import threading
from enum import IntEnum
from time import monotonic, sleep
from typing import Any
from weakref import WeakKeyDictionary

PATIENCE = 10.0
"""Seconds after which a fork goes on although a lock is held: users' code may hold two in an order of its own."""
LONGEST_WAY = 0.1
"""Seconds for which a step waits for a fork: its caller may hold a lock that the fork waits for."""


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
WAITING: list[int] = []
"""Forks that wait for locks, one at most."""


def fork_lock(order: Order, lock: Any = None) -> Any:
    """A lock that forks wait for. lock: the lock itself; None: one that its holder may take again."""
    lock = threading.RLock() if lock is None else lock
    _LOCKS[lock] = order
    return lock


def give_way() -> None:
    """Lets a fork go first that waits for locks. Who runs step after step takes a lock again at once, and leaves it to
    nobody else.
    """
    if WAITING:
        end = monotonic() + LONGEST_WAY
        while WAITING and monotonic() < end:
            sleep(0.001)


def _before() -> None:
    _FORKING.acquire()
    WAITING.append(1)
    end = monotonic() + PATIENCE
    there = [lock for reference in _LOCKS.keyrefs() if (lock := reference()) is not None]  # threads may make more now
    _HELD.clear()
    for lock in sorted(there, key=_LOCKS.__getitem__):
        if lock.acquire(timeout=max(0.0, end - monotonic())):
            _HELD.append(lock)


def _after() -> None:
    for lock in _HELD:
        lock.release()
    _HELD.clear()
    WAITING.clear()
    _FORKING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
