"""The one door through which large memory is asked for: what is not there is an error before the machine swaps.

What is left is the least of what the system has available, of what the control groups of this process leave it, and of
what its own limits do. It is looked at for large requests only, which take longer than the look.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .errors import OutOfMemoryError, Where

LARGE = 64 << 20
"""Bytes from which on a request is large."""
UNLIMITED = 1 << 60
"""A control group of version 1 without a limit names one that is beyond this."""
PROCESS, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def reserve(count: int, purpose: str, where: Where | None = None) -> None:
    """Raises ``OutOfMemoryError`` where ``count`` bytes more are not there. It takes none of them.

    purpose: what they are for, as the error says it.
    """
    if count < LARGE:
        return
    left, limit = min(limits(), default=(count, ""))
    if count > left:
        raise OutOfMemoryError(count, left, limit, purpose, where)


def bytes_of(shape: Sequence[int], dtype: Any) -> int:
    return math.prod(map(int, shape)) * np.dtype(dtype).itemsize


def empty(shape: Sequence[int], dtype: Any, purpose: str) -> np.ndarray:
    """An array, not filled."""
    return _made(np.empty, shape, dtype, purpose)


def maker(shape: Sequence[int], dtype: Any, purpose: str) -> Callable[[], np.ndarray]:
    """Makes arrays of one kind again and again, not filled: what can be known of all is looked at once."""
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
    """An array of zeros."""
    return _made(np.zeros, shape, dtype, purpose)


def _made(make: Callable[..., np.ndarray], shape: Sequence[int], dtype: Any, purpose: str) -> np.ndarray:
    count = bytes_of(shape, dtype)
    reserve(count, purpose)
    try:
        return make(shape, dtype)
    except MemoryError:
        raise OutOfMemoryError(count, None, "", purpose) from None


def limits(process: Path = PROCESS, groups: Path = GROUPS) -> Iterator[tuple[int, str]]:
    """(bytes that are left, by which limit), of each limit that is known."""
    available = _table(process / "meminfo").get("MemAvailable")
    if available is not None:
        yield available, "available on this machine"
    for kind, name, what in ((resource.RLIMIT_AS, "VmSize", "address space"), (resource.RLIMIT_DATA, "VmData", "data")):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            used = _table(process / "self" / "status").get(name, 0)
            yield max(0, limit - used), f"left of this process's limit of {what}"
    for folder, (most, taken, files) in _groups(process, groups):
        highest, used = _number(folder / most), _number(folder / taken) or 0
        if highest is not None and highest < UNLIMITED:
            cached = _table(folder / "memory.stat", 1).get(files, 0)  # of files, given up where memory is short
            yield max(0, highest - used + cached), "left to this process's control group"


def _groups(process: Path, groups: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """The control groups of this process, outer ones too: where their files lie, and which say the most that they may
    take, what they have taken, and how much of that holds files.
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
        for folder in (inner, *inner.parents):  # in a container the outer path may not be there
            yield root / folder, names


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # another system, or a process that may not look
        return []


def _table(path: Path, unit: int = 1024) -> Mapping[str, int]:
    """The numbers of a file of lines ``name: number``, in bytes."""
    rows = (line.replace(":", " ").split() for line in _lines(path))
    return {row[0]: int(row[1]) * unit for row in rows if len(row) > 1 and row[1].isdecimal()}


def _number(path: Path) -> int | None:
    """The number that a file holds; None where it holds none, such as ``max``."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None
