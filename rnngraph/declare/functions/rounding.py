"""Rounding to integers and to fewer bits, and dequantization of stored integers.

No gradient passes through rounding to integers, because it is piecewise constant.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..state import NARROW_STATES
from ..tensor import Tensor, as_tensor, build, constant
from .basic import cast, one_axis, where

STORED = {8: "int8", 4: "uint8"}
"""Dtypes that store integers, by bits."""


@api
def round(x: Any, decimals: int = 0) -> Tensor:  # shadows the built-in, for the name of numpy.round
    """Round to the nearest integer, elementwise, in x's dtype. Halves are rounded to the even integer.

    Args:
        x: Tensor.
        decimals: Digits after the decimal point to keep; negative values round before it, as in ``numpy.round``.

    Raises:
        DtypeError: x is an integer, and ``decimals`` is negative.
    """
    x, digits = as_tensor(x), whole_number(decimals, "decimals")
    if x.dtype not in FLOATS:
        if digits < 0:
            raise DtypeError(f"round with decimals={digits} needs floats, not {x!r}; convert with rg.cast")
        return x
    if not digits:
        return build("round", x)
    power = 10.0 ** (digits if digits > 0 else -digits)
    return build("round", x * power) / power if digits > 0 else build("round", x / power) * power


@api
def floor(x: Any) -> Tensor:
    """Return the largest integer that is not above x, elementwise, in x's dtype."""
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        return x
    nearest = build("round", x)
    return nearest - cast(nearest > x, x.dtype)


@api
def ceil(x: Any) -> Tensor:
    """Return the smallest integer that is not below x, elementwise, in x's dtype."""
    return -floor(-as_tensor(x))


@api
def dequantize(numbers: Tensor, scales: Tensor, axis: int = -1, bits: int = 8) -> Tensor:
    """Multiply stored integers by scales that blocks of an axis share.

    ``weights="int8_blocks"`` and ``weights="int4"`` multiply by matrices in blocks of 32 rows. They use stored integers
    and scales of such blocks unchanged. GGUF's types Q8_0 and Q4_0 have the same blocks.

    Args:
        numbers: int8 Tensor. With ``bits=4``, uint8 Tensor whose ``axis`` has half the size of the result's. The lower
            four bits of a block's bytes hold the first half of the block, the upper four bits the second, each plus 8.
        scales: float Tensor of the shape of ``numbers`` except for ``axis``, which has an entry for each block.
        axis: Axis of the blocks.
        bits: 8 or 4.

    Returns:
        Tensor of the scales' dtype.

    Raises:
        ArgumentError: ``bits`` is neither 8 nor 4.
        DtypeError: The numbers do not have the dtype of ``bits``.
        ShapeError: The shapes do not fit, a size of ``axis`` is symbolic, or the blocks do not divide it evenly.
    """
    stored, scales = as_tensor(numbers), as_tensor(scales)
    if bits not in STORED:
        raise ArgumentError(f"bits={shown(bits)} is not offered; use one of 8, 4")
    if stored.dtype != STORED[bits]:
        remedy = f"give bits={12 - bits}" if stored.dtype == STORED[12 - bits] else "give stored integers"
        raise DtypeError(f"dequantize with bits={bits} needs {STORED[bits]}, not {stored!r}; {remedy}")
    place = one_axis(stored.rank, axis)
    before, after = stored.type.shape[:place], stored.type.shape[place + 1 :]
    size, blocks = (tensor.type.shape[place] if tensor.rank == stored.rank else None for tensor in (stored, scales))
    if not isinstance(size, int) or not isinstance(blocks, int) or size % blocks:
        raise ShapeError(
            f"dequantize: axis {axis} of {stored!r} does not divide into the blocks of {scales!r}; "
            "give one scale for each block"
        )
    halves = (1,) if bits == 4 else ()
    parts = build("reshape", stored, shape=(*before, blocks, *halves, size // blocks, *after))
    if bits == 4:
        parts = build("broadcast", parts, shape=(*before, blocks, 2, size // blocks, *after))
    numbers = cast(parts, scales.dtype)
    if bits == 4:
        upper = build("round", (numbers - 7.5) * 0.0625)  # (byte - 7.5) / 16 lies within 0.47 of the upper four bits
        is_second = constant(np.array([False, True]).reshape(2, *[1] * (len(after) + 1)))
        numbers = where(is_second, upper, numbers - 16.0 * upper) - 8.0
    values = numbers * build("reshape", scales, shape=(*before, blocks, *halves, 1, *after))
    return build("reshape", values, shape=(*before, size * 8 // bits, *after))


@api
def reduce_precision(x: Any, dtype: str = "bfloat16") -> Tensor:
    """Round x to the nearest number of a narrower dtype, elementwise, ties to even. The result is float32.

    Finite numbers that would round to infinity saturate. Gradients pass as if the function did not round.

    Args:
        x: float32 Tensor.
        dtype: ``"bfloat16"``, which keeps 8 of the 24 bits of precision.

    Raises:
        ArgumentError: ``dtype`` is not supported.
        DtypeError: x is not float32.
    """
    x = as_tensor(x)
    if dtype not in NARROW_STATES:
        raise ArgumentError(f"dtype={shown(dtype)} is not offered; use {' or '.join(map(repr, NARROW_STATES))}")
    if x.dtype != NARROW_STATES[dtype]:
        raise DtypeError(f"reduce_precision needs {NARROW_STATES[dtype]}, not {x!r}; cast it first")
    return build("cast", build("cast", x, dtype=dtype), dtype=x.dtype)
