"""Locks on bytes of files between processes, if the file system supports them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..support.system import PrivateDirectory, try_lock_byte


@contextmanager
def locked_byte(name: str, folder: PrivateDirectory, place: int, max_seconds: float) -> Iterator[None]:
    """Context manager that locks one byte of a file against other processes, or gives up after a timeout.

    A process that ends releases its locks. Without locks in the file system, the block runs unlocked.

    Args:
        name: The file. It is created if missing.
        folder: Its directory.
        place: Position of the byte, which may lie beyond the end of the file.
        max_seconds: Timeout, after which the block runs unlocked.

    Raises:
        OSError: The file cannot be opened or created.
    """
    descriptor = folder.open(name, os.O_RDWR | os.O_CREAT)
    try:
        end, pause = time.monotonic() + max_seconds, 0.001
        while not _try_byte(descriptor, place) and time.monotonic() < end:
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        yield
    finally:
        os.close(descriptor)


def _try_byte(descriptor: int, place: int) -> bool:
    try:
        return try_lock_byte(descriptor, place)
    except OSError:  # a file system without locks
        return True
