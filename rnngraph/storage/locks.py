"""Locks of files and directories between processes, where the file system has them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def try_lock(descriptor: int) -> bool:
    """Whether an open file could be locked until it is closed. Raises ``OSError`` where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked_byte(name: str, folder: int, place: int, most_seconds: float) -> Iterator[None]:
    """Within the block no other process has this byte of a file, which need not be there; without locks any number.

    folder: a descriptor of the file's directory. Whoever stops lets go. most_seconds: to wait for it, after which the
    block begins all the same. Raises ``OSError`` where there can't be such a file.
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
    except (BlockingIOError, PermissionError):  # either says that another process has it
        return False
    except OSError:  # a file system without locks
        return True
    return True


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """Holds a directory for one writer at a time; without locks there may be any number."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
