"""Locks in processes that fork: a fork waits until nobody holds one, so that the child finds all of them free."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

_FORKING, _MAKING = threading.RLock(), threading.RLock()
"""One thread forks at a time, and no lock is made while it does."""
_LOCKS: WeakSet[Any] = WeakSet()
_HELD: list[Any] = []


def fork_lock() -> Any:
    """A lock that its holder may take again. What it guards is whole in the child of a fork."""
    lock = threading.RLock()
    with _MAKING:
        _LOCKS.add(lock)
    return lock


def _before() -> None:
    """Waits for one lock at a time, and takes the others as they are: who holds one may wait for another."""
    _FORKING.acquire()
    busy = None
    while True:
        if busy is not None:
            busy.acquire()
            _HELD.append(busy)
        _MAKING.acquire()
        busy = _first_busy([*_LOCKS])
        if busy is None:
            return
        _MAKING.release()


def _first_busy(locks: Sequence[Any]) -> Any:
    """Takes all of them; or gives the first that somebody holds, and all back."""
    for lock in locks:
        if not lock.acquire(blocking=False):
            _release()
            return lock
        _HELD.append(lock)
    return None


def _release() -> None:
    for lock in _HELD:
        lock.release()
    _HELD.clear()


def _after() -> None:
    _release()
    _MAKING.release()
    _FORKING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
