"""Compiles and calls ``block_products.c``, which reads memory, or multiplies a row by weights in blocks."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from workloads import Call

from rnngraph.runtime.native.aligned_memory import aligned_bytes, paged_bytes

COMPILER = "cc"
SOURCE = Path(__file__).parents[1] / "block_products.c"
FUNCTIONS = {"int8_blocks": ("eight_bits", 9 * 64), "int4": ("four_bits", 5 * 64)}
"""(C function, bytes of a block of 16 columns), by kind of weights."""
BLOCK, COLUMNS = 32, 16


def is_available() -> bool:
    """True if a compiler and the instructions of the C file are available."""
    return shutil.which(COMPILER) is not None and llvm.get_host_cpu_features().get("avx512vnni", False)


@lru_cache
def library() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "products.so"
        words = ["-O3", "-march=native", "-shared", "-fPIC"]
        subprocess.run([COMPILER, *words, str(SOURCE), "-o", str(path)], check=True)
        return ctypes.CDLL(str(path))


def product(kind: str, weights: int, depth: int) -> Call:
    """Return a call that computes a product with about ``weights`` weights, in columns of ``depth`` weights."""
    name, block_bytes = FUNCTIONS[kind]
    columns, blocks = weights // depth // COLUMNS * COLUMNS, depth // BLOCK
    panels = aligned_bytes(columns // COLUMNS * blocks * block_bytes + 80 * 64)  # the code prefetches beyond the end
    panels[:] = 1
    x, scales = np.ones(depth, np.int8), np.ones(blocks, np.float32)
    sums, y = np.full(blocks, BLOCK, np.int32), np.empty(columns, np.float32)
    function = getattr(library(), name)
    function.restype = None
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (panels, x, scales, sums, y)]

    def call(kept_value: object = (panels, x, scales, sums)) -> np.ndarray:  # keeps alive the arrays that pointers name
        function(*pointers, ctypes.c_long(columns), ctypes.c_long(blocks))
        return y

    return call


def reading(count: int, threads: int = 1) -> Call:
    """Return a call that reads about ``count`` bytes from memory, on one or several threads."""
    words = count // 4 // threads // 64 * 64
    memory = paged_bytes(4 * words * threads, "memory to read")
    memory[:] = 0
    function = library().total
    function.restype = ctypes.c_float
    parts = [(ctypes.c_void_p(memory.ctypes.data + 4 * words * part), ctypes.c_long(words)) for part in range(threads)]
    others = ThreadPoolExecutor(threads)

    def call(kept_value: object = memory) -> np.ndarray:  # keeps alive the array that pointers name
        started = [others.submit(function, *part) for part in parts[1:]]
        return np.array([function(*parts[0]), *(item.result() for item in started)])

    return call
