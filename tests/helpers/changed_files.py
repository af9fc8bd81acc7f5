"""Files with random changes of bytes: readers raise a documented error or return a net that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

import rnngraph as rg
from rnngraph.formats.net import Net


def changed(data: bytes, seed: int) -> bytes:
    """Return the file with one change: bytes replaced, removed, inserted, duplicated, or truncated."""
    generator = np.random.default_rng(seed)
    first = int(generator.integers(len(data)))
    last = min(len(data), first + int(2 ** generator.uniform(0, 6)))
    piece = data[first:last]
    match int(generator.integers(5)):
        case 0:
            piece = generator.integers(0, 256, len(piece), np.uint8).tobytes()
        case 1:
            piece = b""
        case 2:
            piece += generator.integers(0, 256, len(piece), np.uint8).tobytes()
        case 3:
            piece += piece
        case 4:
            return data[:first]
    return data[:first] + piece + data[last:]


def check_changed_files(read: Callable[[bytes], Net], data: bytes, seeds: Iterable[int]) -> None:
    """Read changed files. Check that each raises a documented error, or is a net that can be written as a script."""
    for seed in seeds:
        try:
            net = read(changed(data, seed))
        except rg.RnnGraphError:
            continue
        compile(net.script(), "net.py", "exec")
