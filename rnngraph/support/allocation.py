"""Checked allocation of arrays: a request beyond the available memory raises before the machine swaps.

The available memory is the minimum of the system's free memory, the limits of the process's control groups and the
process's own resource limits. Only large requests are checked, because reading the limits costs more than a small
allocation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .errors import OutOfMemoryError, Where
from .system import free_memory, process_limits

LARGE = 64 << 20
"""Minimum size of a large request, in bytes."""
UNLIMITED = 1 << 60
"""Limits of control groups (version 1) at or above this number of bytes mean "no limit"."""
PROCESS, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def reserve(count: int, purpose: str, where: Where | None = None) -> None:
    """Raise ``OutOfMemoryError`` unless ``count`` more bytes are available. Nothing is allocated.

    Fewer than ``LARGE`` bytes are not checked.

    Args:
        count: Bytes.
        purpose: Noun phrase for the error, such as ``"the results"``.
        where: The user's line, for the error.
    """
    if count < LARGE:
        return
    left, limit = min(limits(), default=(count, ""))
    if count > left:
        raise OutOfMemoryError(count, left, limit, purpose, where)


def bytes_of(shape: Sequence[int], dtype: Any) -> int:
    return math.prod(map(int, shape)) * np.dtype(dtype).itemsize


def empty(shape: Sequence[int], dtype: Any, purpose: str) -> np.ndarray:
    """Return an uninitialised array. Raise ``OutOfMemoryError``, which names ``purpose``, if it does not fit."""
    return _allocate(np.empty, shape, dtype, purpose)


def maker(shape: Sequence[int], dtype: Any, purpose: str) -> Callable[[], np.ndarray]:
    """Return a function without arguments that allocates an uninitialised array of the shape and dtype.

    Small sizes are checked once, here; large ones at each allocation.
    """
    count = bytes_of(shape, dtype)
    if count >= LARGE:
        return partial(empty, shape, dtype, purpose)
    sizes, kind = tuple(shape), np.dtype(dtype)

    def make() -> np.ndarray:
        try:
            return np.empty(sizes, kind)
        except MemoryError:
            raise OutOfMemoryError(count, None, "", purpose) from None

    return make


def zeros(shape: Sequence[int], dtype: Any, purpose: str) -> np.ndarray:
    """Return an array of zeros. Raise ``OutOfMemoryError``, which names ``purpose``, if it does not fit."""
    return _allocate(np.zeros, shape, dtype, purpose)


def _allocate(make: Callable[..., np.ndarray], shape: Sequence[int], dtype: Any, purpose: str) -> np.ndarray:
    """Return an array by ``make``. Raise ``OutOfMemoryError``, which names ``purpose``, if it does not fit."""
    count = bytes_of(shape, dtype)
    reserve(count, purpose)
    try:
        return make(shape, dtype)
    except MemoryError:
        raise OutOfMemoryError(count, None, "", purpose) from None


def limits(process: Path = PROCESS, groups: Path = GROUPS) -> Iterator[tuple[int, str]]:
    """Yield (bytes still available, description) for each known limit of the machine, process and control groups."""
    available = _table(process / "meminfo").get("MemAvailable")
    if available is not None:
        yield available, "available on this machine"
    yield from free_memory()
    for limit, line, what in process_limits():
        used = _table(process / "self" / "status").get(line, 0)
        yield max(0, limit - used), f"left of this process's limit of {what}"
    for folder, (limit_file, usage_file, cache_key) in _groups(process, groups):
        group_limit, used = _number(folder / limit_file), _number(folder / usage_file) or 0
        if group_limit is not None and group_limit < UNLIMITED:
            cached = _table(folder / "memory.stat", 1).get(cache_key, 0)  # page cache, reclaimed under pressure
            yield max(0, group_limit - used + cached), "left to this process's control group"


def _groups(process: Path, groups: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield (folder of a control group of the process, names of its limit, usage and page cache).

    Each group is followed by the groups that enclose it.
    """
    for line in _lines(process / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, names = groups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root, names = groups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inner = Path(path.lstrip("/"))
        for folder in (inner, *inner.parents):  # in a container the outer path may not exist
            yield root / folder, names


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:  # another operating system, or no permission
        return []


def _table(path: Path, unit: int = 1024) -> Mapping[str, int]:
    """Return the numbers in a file of lines ``name: number``, each times ``unit``; empty if it cannot be read."""
    rows = (line.replace(":", " ").split() for line in _lines(path))
    return {row[0]: int(row[1]) * unit for row in rows if len(row) > 1 and row[1].isdecimal()}


def _number(path: Path) -> int | None:
    """Return the number in a file; None for other content, such as ``max``, or if it cannot be read."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None
