"""Narrow numbers in NumPy: what a cast to one gives, and what a product of them is.

NumPy has no bfloat16 (a float32 without its lower 16 bits). It is held as float32 here, rounded.
"""

from __future__ import annotations

import numpy as np

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
BITS = np.uint32(0xFFFF0000)


def rounded_to_bfloat16(x: np.ndarray) -> np.ndarray:
    """Return the nearest bfloat16 of each number, ties to even, as float32: 8 bits of precision.

    Finite numbers saturate: beyond the largest they become the largest. NaN and infinities stay what they are.
    """
    narrow = np.asarray(x, np.float32)
    bits = narrow.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    with np.errstate(over="ignore"):
        rounded = ((bits + (np.uint32(0x7FFF) + odd)) & BITS).view(np.float32)
    nearest = np.where(
        np.isinf(rounded), (bits & BITS).view(np.float32), rounded
    )  # towards 0: the largest, or infinity
    return np.where(np.isnan(narrow), narrow, nearest)


def held_as(dtype: str) -> str:
    """The dtype of the arrays that hold ``dtype``."""
    return "float32" if dtype == "bfloat16" else dtype


def cast(x: np.ndarray, dtype: str) -> np.ndarray:
    """``x`` as ``dtype``; a float as an integer without its fraction: the nearest that there is, and 0 for NaN, which
    as a narrow one is the largest.
    """
    if dtype == "bfloat16":
        return rounded_to_bfloat16(x)
    if dtype in LIMITS and x.dtype.kind == "f":
        low, high = LIMITS[dtype]
        x = np.clip(np.where(np.isnan(x), high, x), low, high)
    with np.errstate(all="ignore"):
        value = np.asarray(x.astype(dtype))
        if dtype in LIMITS or np.dtype(dtype).kind != "i" or x.dtype.kind != "f":
            return value
        limits = np.iinfo(dtype)
        value = np.where(np.isnan(x), 0, np.where(x >= -float(limits.min), limits.max, value))
        return np.asarray(np.where(x <= float(limits.min), limits.min, value), dtype)


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``left @ right``; of narrow integers the exact sums as int32. Beside floats narrow numbers are widened."""
    if left.dtype in (np.uint8, np.int8):
        left, right = left.astype(np.int32), right.astype(np.int32)
    with np.errstate(all="ignore"):
        return np.asarray(left @ right)
