"""Locks in processes that fork: a fork waits until nobody holds one, so that the child finds it free."""

from __future__ import annotations

import os
import threading
from typing import Any
from weakref import WeakSet

_FORKING = threading.RLock()
"""One thread forks at a time, and no lock is made meanwhile."""
_LOCKS: WeakSet[Any] = WeakSet()
_HELD: list[Any] = []


def fork_lock() -> Any:
    """A lock that its holder may take again. What it guards is whole in the child of a fork."""
    lock = threading.RLock()
    with _FORKING:
        _LOCKS.add(lock)
    return lock


def _before() -> None:
    _FORKING.acquire()
    _HELD[:] = list(_LOCKS)
    for lock in _HELD:
        lock.acquire()


def _after() -> None:
    for lock in _HELD:
        lock.release()
    _HELD.clear()
    _FORKING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
