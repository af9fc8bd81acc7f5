"""Removal of the oldest files of a directory whose size is limited."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from ..support.system import PrivateDirectory


def remove_oldest(folder: PrivateDirectory, files: Iterable[tuple[int, str, int]], excess: int) -> int:
    """Remove the oldest ``files`` until ``excess`` bytes are free. Return the bytes of the removed files.

    Files that cannot be removed count as removed. Processes that have opened or mapped a file are not affected.

    Args:
        folder: The directory.
        files: Time, name and size of each file.
        excess: Size to free, in the unit of the sizes.
    """
    removed = 0
    for _, name, size in sorted(files):
        if removed >= excess:
            break
        with contextlib.suppress(OSError):
            folder.remove(name)
        removed += size
    return removed
