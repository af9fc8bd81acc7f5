"""Casts to narrow dtypes and matmuls of narrow dtypes in NumPy.

NumPy has no bfloat16, which is a float32 without its lower 16 bits. Here, a bfloat16 or a float16 is represented by a
rounded float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
BITS = np.uint32(0xFFFF0000)


def rounded_to_bfloat16(x: np.ndarray) -> np.ndarray:
    """Round each float32 to the nearest bfloat16, ties to even. The result is float32.

    Finite numbers saturate at the largest bfloat16. NaN and infinities are unchanged.
    """
    narrow = np.asarray(x, np.float32)
    bits = narrow.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    with np.errstate(over="ignore"):
        rounded = ((bits + (np.uint32(0x7FFF) + odd)) & BITS).view(np.float32)
    # Truncate finite numbers that would round to infinity.
    nearest = np.where(np.isinf(rounded), (bits & BITS).view(np.float32), rounded)
    return np.where(np.isnan(narrow), narrow, nearest)


def bits_of_bfloat16(x: np.ndarray) -> np.ndarray:
    """Return the bits of numbers after rounding to bfloat16, as uint16: the upper 16 bits of a float32."""
    narrow = np.asarray(x, np.float32)
    wide = np.where(np.isnan(narrow), np.float32(np.nan), rounded_to_bfloat16(narrow))
    return (wide.view(np.uint32) >> np.uint32(16)).astype(np.uint16)


def bfloat16_of_bits(bits: np.ndarray) -> np.ndarray:
    """Return the float32 numbers whose upper 16 bits are ``bits``."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def rounded_to_float16(x: np.ndarray) -> np.ndarray:
    """Round each float32 to the nearest float16, ties to even. The result is float32.

    Finite numbers saturate at the largest float16. NaN and infinities are unchanged.
    """
    wide = np.asarray(x, np.float32)
    limit = np.float32(np.finfo(np.float16).max)
    limited = np.where(np.isinf(wide), wide, np.clip(wide, -limit, limit))
    return limited.astype(np.float16).astype(np.float32)


def storage_dtype(dtype: str) -> str:
    """Return the NumPy dtype of arrays that represent ``dtype``."""
    return "float32" if dtype in ("bfloat16", "float16") else dtype


def cast(x: np.ndarray, dtype: str) -> np.ndarray:
    """Return ``x`` converted to ``dtype``, where floats are truncated to ints and saturate.

    NaN becomes 0, or the largest value of an 8-bit dtype.
    """
    if dtype == "bfloat16":
        return rounded_to_bfloat16(x)
    if dtype == "float16":
        return rounded_to_float16(x)
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
    """Return ``left @ right``. For 8-bit integers the sums are exact, in int32; mixed operands become floats."""
    if left.dtype in (np.uint8, np.int8):
        left, right = left.astype(np.int32), right.astype(np.int32)
    with np.errstate(all="ignore"):
        return np.asarray(left @ right)


def block_product(arrays: Sequence[np.ndarray], block: int, zero: int) -> np.ndarray:
    """Return activations @ weights, both in blocks: exact sums of ``block`` products each, scaled and added in order.

    Args:
        arrays: Activations, weights, the scales of both, and sums of the blocks of activations.
        block: Number of products in a sum.
        zero: Stored value of a weight of 0.
    """
    left, right, left_scales, right_scales, sums = arrays
    activations, weights = left.astype(np.int32), right.astype(np.int32)
    total = np.zeros((*left.shape[:-1], right.shape[1]), np.float32)
    with np.errstate(all="ignore"):
        for number in range(len(right_scales)):
            part = slice(number * block, (number + 1) * block)
            scale = left_scales[..., number : number + 1] * right_scales[number]
            whole = activations[..., part] @ weights[part] - zero * sums[..., number : number + 1]
            total += whole.astype(np.float32) * scale
    return total
