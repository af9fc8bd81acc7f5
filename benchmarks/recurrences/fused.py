"""Contender in C: ``fused_recurrences.c``, compiled for a row's head size by this machine's C compiler."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from workloads import Call

from rnngraph.runtime.native.aligned_memory import aligned_bytes

from .rows import STATES, Row

COMPILER = "cc"
FUNCTIONS = {"GLA": "gla", "GDN": "gdn", "SSD": "ssd", "S6": "s6"}
SOURCE = Path(__file__).parents[1] / "fused_recurrences.c"
LANES = 16
"""float32 lanes of the longest vectors. Sizes of buffers are rounded up to a multiple."""


def has(row: Row) -> bool:
    """True if the C file has the recurrence and a compiler is available."""
    return row.kind in FUNCTIONS and shutil.which(COMPILER) is not None


@lru_cache
def library(size: int) -> Any:
    """Return the C file, compiled for ``size`` keys and values and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fused.so"
        words = ["-O3", "-march=native", "-shared", "-fPIC", "-w", f"-DSIZE={size}", f"-DSTATES={STATES}"]
        subprocess.run([COMPILER, *words, str(SOURCE), "-o", str(path)], check=True)
        return ctypes.CDLL(str(path))


def inference(row: Row) -> Call:
    """Return a call over all steps, from zero states."""
    return _call(row, fresh=True)


def step(row: Row) -> Call:
    """Return a call of one step, which continues from the state that the previous call left in memory."""
    return _call(row, fresh=False)


def _call(row: Row, fresh: bool) -> Call:
    x, y = row.inputs(), np.empty((row.batch, row.time, row.channels), np.float32)
    padded = prod(-(-size // LANES) * LANES for size in row.states()[0])
    # twice the size, since blocks of columns are padded
    state = np.frombuffer(aligned_bytes(2 * 4 * row.batch * padded), np.uint8)
    state[:] = 0
    more = [_padded(values) for values in _constants(row)]
    function = getattr(library(row.size), FUNCTIONS[row.kind])
    function.restype = None
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, y, state, *more)]
    last = row.channels if row.kind == "S6" else row.heads
    numbers = [ctypes.c_long(number) for number in (row.batch, row.time, last, fresh)]
    arguments = (*pointers[:3], *numbers, *pointers[3:])

    def call(memory: object = (x, state, more)) -> np.ndarray:  # keeps alive the arrays that pointers name
        function(*arguments)
        return y

    return call


def _constants(row: Row) -> list[np.ndarray]:
    """Return the arrays, with one entry per channel, that are computed from the parameters before the call."""
    if row.kind != "S6":
        return []
    parameters = row.parameters()
    return [-np.exp(parameters["A_log"].T), parameters["D"]]


def _padded(values: np.ndarray) -> np.ndarray:
    lead = [(0, 0)] * (values.ndim - 1)
    return np.ascontiguousarray(np.pad(values, [*lead, (0, -values.shape[-1] % LANES)]))
