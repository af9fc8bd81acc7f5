"""Semaphores of the operating system, by which machine code sleeps and wakes threads.

Linux keeps a semaphore in the caller's memory. macOS declares the same functions, but they fail there: its semaphores
are those of Grand Central Dispatch. Those and Windows' are objects of the system, whose handle lies in memory.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import c_int32, c_long, c_void_p

if sys.platform == "win32":
    FUNCTIONS = ("SwitchToThread", "WaitForSingleObject", "ReleaseSemaphore")
    _CREATE = "CreateSemaphoreW"
elif sys.platform == "darwin":
    FUNCTIONS = ("sched_yield", "dispatch_semaphore_wait", "dispatch_semaphore_signal")
    _CREATE = "dispatch_semaphore_create"
else:
    FUNCTIONS = ("sched_yield", "sem_wait", "sem_post")
    _CREATE = "sem_init"
"""Functions that yield the core, wait, and post. ``codegen/threads/semaphore_calls.py`` declares their arguments."""


_MAX_COUNT = 0x7FFF_FFFF


def _library() -> ctypes.CDLL:
    if sys.platform == "win32":
        return ctypes.WinDLL("kernel32")
    return ctypes.CDLL(None)


def are_offered() -> bool:
    """True if the system has all functions that semaphores need."""
    library = _library()
    return all(hasattr(library, name) for name in (*FUNCTIONS, _CREATE))


def addresses() -> list[int]:
    """Return the addresses of ``FUNCTIONS``."""
    library = _library()
    return [ctypes.cast(getattr(library, name), c_void_p).value or 0 for name in FUNCTIONS]


def create(place: int) -> None:
    """Create a semaphore of the operating system with count 0, at the address ``place``.

    Args:
        place: Address of 64 zero bytes, for the semaphore or its handle.

    Raises:
        OSError: The system has no semaphore left.
    """
    function = getattr(_library(), _CREATE)
    if sys.platform == "win32":
        function.restype, function.argtypes = c_void_p, (c_void_p, c_int32, c_int32, c_void_p)
        _keep(function(None, 0, _MAX_COUNT, None), place)
    elif sys.platform == "darwin":
        function.restype, function.argtypes = c_void_p, (c_long,)
        _keep(function(0), place)
    elif function(c_void_p(place), 0, 0):
        raise OSError(_NONE_LEFT)


def _keep(handle: int | None, place: int) -> None:
    """Store a semaphore's handle in memory."""
    if not handle:
        raise OSError(_NONE_LEFT)
    c_void_p.from_address(place).value = handle


_NONE_LEFT = "the system has no semaphore left for a worker thread; use threads=1"
