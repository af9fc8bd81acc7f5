"""Locks on files and directories between processes, if the file system supports them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def try_lock(descriptor: int) -> bool:
    """Try to lock an open file until it is closed. Return True if it is locked now.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked_byte(name: str, folder: int, place: int, most_seconds: float) -> Iterator[None]:
    """Context manager that holds a lock on one byte of a file. A process that ends releases its locks.

    Without locks in the file system, the block runs unlocked.

    Args:
        name: The file. It is created if missing.
        folder: Descriptor of its directory.
        place: Position of the byte, which may lie beyond the end of the file.
        most_seconds: Timeout, after which the block runs unlocked.

    Raises:
        OSError: The file cannot be opened or created.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, mode=0o600, dir_fd=folder)
    try:
        end, pause = time.monotonic() + most_seconds, 0.001
        while not _try_byte(descriptor, place) and time.monotonic() < end:
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        yield
    finally:
        os.close(descriptor)


def _try_byte(descriptor: int, place: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):  # another process holds it
        return False
    except OSError:  # a file system without locks
        return True
    return True


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """Context manager that admits one writer to a directory at a time, if the file system has locks."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
