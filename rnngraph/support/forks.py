"""Locks that are safe across ``fork``.

A fork first acquires every lock, so that the child process has each lock free and its data consistent.
"""

from __future__ import annotations

import os
import threading
from enum import IntEnum
from time import monotonic, sleep
from typing import Any
from weakref import WeakKeyDictionary

FORK_TIMEOUT_S = 10.0
"""Seconds after which a fork proceeds although a lock is held.

Otherwise, user code that acquires two locks in another order would deadlock.
"""
MAX_YIELD_S = 0.1
"""Maximum seconds that a step waits for a fork. The step's caller may hold a lock that the fork needs."""


class LockLevel(IntEnum):
    """Acquisition order of locks: the holder of a lock may acquire only later ones. Forks acquire in this order."""

    RUN = 0
    """Locks of trainers and pools, held for a whole step."""
    GRAPH = 1
    """Locks of compiled graphs."""
    ENTRY = 2
    """Locks of machine code."""
    LAST = 3
    """Locks whose holders acquire no other."""


_FORKING = threading.RLock()
"""Lock that serialises forks."""
_LOCKS: WeakKeyDictionary[Any, LockLevel] = WeakKeyDictionary()
_locked: list[Any] = []
WAITING: list[int] = []
"""One entry while a fork waits for locks, else empty."""


def fork_lock(level: LockLevel, lock: Any = None) -> Any:
    """Register a lock that forks wait for, and return it. ``lock=None`` makes a reentrant one."""
    lock = threading.RLock() if lock is None else lock
    _LOCKS[lock] = level
    return lock


def give_way() -> None:
    """Yield to a waiting fork, which a loop that reacquires its lock would starve."""
    if WAITING:
        end = monotonic() + MAX_YIELD_S
        while WAITING and monotonic() < end:
            sleep(0.001)


def _before() -> None:
    """Acquire all registered locks before a fork of the process, in the order of their levels, until the timeout."""
    _FORKING.acquire()
    WAITING.append(1)
    end = monotonic() + FORK_TIMEOUT_S
    # keyrefs() is a copy, because other threads may add locks
    locks = [lock for reference in _LOCKS.keyrefs() if (lock := reference()) is not None]
    _locked.clear()
    for lock in sorted(locks, key=_LOCKS.__getitem__):
        if lock.acquire(timeout=max(0.0, end - monotonic())):
            _locked.append(lock)


def _after() -> None:
    """Release the locks that ``_before`` acquired, in the parent and in the child."""
    for lock in _locked:
        lock.release()
    _locked.clear()
    WAITING.clear()
    _FORKING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
