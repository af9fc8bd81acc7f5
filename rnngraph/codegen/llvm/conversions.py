"""Conversions for which LLVM would call a library on some processors.

Conversions between 64-bit integers and floats use 32-bit instructions. Their results are those of processors that have
such instructions. Integers are rounded to the nearest float, ties to even. Floats are rounded towards zero and
saturate; NaN becomes 0. There is one function on scalars for each pair of types.

Conversions between float32 and the bits of a float16 work on vectors, and do not depend on the mode for denormals.
"""

from __future__ import annotations

from collections.abc import Sequence

from .instructions import Handle, Instructions

_FRACTION = {"f32": 23, "f64": 52}
_BIAS = {"f32": 127, "f64": 1023}


def float_of_wide(b: Instructions, x: Handle, element: str) -> Handle:
    """Write a conversion of an ``i64`` scalar or vector to floats of type ``element``. Return the floats."""
    body = _to_f32 if element == "f32" else _to_f64
    return b.each_lane(x, lambda item: b.helper(f"{element}_of_i64", (element, 1), [item], body))


def wide_of_float(b: Instructions, x: Handle) -> Handle:
    """Write a conversion of a float scalar or vector to ``i64``. Return the integers."""
    return b.each_lane(x, lambda item: b.helper(f"i64_of_{x.element}", ("i64", 1), [item], _to_i64))


def _to_f32(b: Instructions, arguments: Sequence[Handle]) -> Handle:
    """Write code that converts an ``i64`` to the nearest float32 by 32-bit instructions. Return the float32.

    The function rounds the 32 highest bits, the last of which is first set to 1 if any lower bit is 1.
    """
    x = arguments[0]
    zero = b.constant(0, x)
    negative = b.compare("slt", x, zero)
    magnitude = b.select(negative, b.isub(zero, x), x)
    high = b.convert("trunc", b.lshr(magnitude, 32), "i32")
    free = b.intrinsic("ctlz", high, high, Handle("false", "i1", 1), overload="i32")
    below = b.isub(b.constant(32, high), free)
    count = b.convert("zext", below, "i64")
    word = b.convert("trunc", b.binary("lshr", magnitude, count), "i32")
    mask = b.isub(b.binary("shl", b.constant(1, x), count), b.constant(1, x))
    lost = b.compare("ne", b.and_(magnitude, mask), zero)
    rounded = b.convert("uitofp", b.or_(word, b.convert("zext", lost, "i32")), "f32")
    scale = b.from_bits(b.shl(b.iadd(below, b.constant(_BIAS["f32"], below)), _FRACTION["f32"]))
    result = b.mul(rounded, scale)
    return b.select(negative, b.neg(result), result)


def _to_f64(b: Instructions, arguments: Sequence[Handle]) -> Handle:
    """Write code that converts an ``i64`` to float64: the sum of its halves, each of which is exact. Return it."""
    x = arguments[0]
    high = b.convert("sitofp", b.convert("trunc", b.lshr(x, 32), "i32"), "f64")
    low = b.convert("uitofp", b.convert("trunc", x, "i32"), "f64")
    return b.add(b.mul(high, b.constant(2.0**32, high)), low)


def _to_i64(b: Instructions, arguments: Sequence[Handle]) -> Handle:
    """Write code that converts a float to an ``i64`` by shifting the significand. Values out of range saturate."""
    x = arguments[0]
    width, bias = _FRACTION[x.element], _BIAS[x.element]
    bits = b.bits(x)
    exponent = b.and_(b.lshr(bits, width), b.constant(2 * bias + 1, bits))
    fraction = b.or_(b.and_(bits, b.constant((1 << width) - 1, bits)), b.constant(1 << width, bits))
    up = b.isub(exponent, b.constant(bias + width, exponent))
    fraction, up = (item if item.element == "i64" else b.convert("sext", item, "i64") for item in (fraction, up))
    zero = b.constant(0, up)
    larger = b.binary("shl", fraction, _clamp(b, up, 62 - width))
    smaller = b.binary("lshr", fraction, _clamp(b, b.isub(zero, up), width + 1))
    magnitude = b.select(b.compare("sgt", up, zero), larger, smaller)
    below = b.compare("olt", x, b.constant(0.0, x))
    result = b.select(below, b.isub(zero, magnitude), magnitude)
    limit = b.constant(2.0**63, x)
    result = b.select(b.compare("oge", x, limit), b.constant(2**63 - 1, zero), result)
    result = b.select(b.compare("ole", x, b.neg(limit)), b.constant(-(2**63), zero), result)
    return b.select(b.compare("uno", x, x), zero, result)


def _clamp(b: Instructions, x: Handle, maximum: int) -> Handle:
    """Write code that clamps an integer to the range from 0 to ``maximum``. Return the result."""
    zero, limit = b.constant(0, x), b.constant(maximum, x)
    x = b.select(b.compare("sgt", x, zero), x, zero)
    return b.select(b.compare("slt", x, limit), x, limit)


_HALF_MAX, _HALF_INFINITE, _HALF_QUIET = 0x7BFF, 0x7C00, 0x7E00
"""Bits of the largest float16, of infinity and of NaN."""
_REBIAS = 127 - 15
"""Difference of the biases of the exponents of float32 and float16."""


def float_of_half(b: Instructions, x: Handle) -> Handle:
    """Write code that converts float16 bits to float32. Return the float32."""
    word = b.convert("zext", x, "i32")
    sign = b.shl(b.and_(word, b.constant(0x8000, word)), 16)
    magnitude = b.shl(b.and_(word, b.constant(0x7FFF, word)), 13)
    normal = b.iadd(magnitude, b.constant(_REBIAS << 23, word))
    infinite = b.iadd(magnitude, b.constant(2 * _REBIAS << 23, word))
    # A denormal is the difference of two floats with the exponent of the smallest normal number.
    start = b.constant(_REBIAS + 1 << 23, word)
    difference = b.bits(b.sub(b.from_bits(b.iadd(magnitude, start)), b.from_bits(start)))
    is_infinite = b.compare("sge", magnitude, b.constant(_HALF_INFINITE << 13, word))
    is_small = b.compare("slt", magnitude, b.constant(1 << 23, word))
    bits = b.select(is_small, difference, b.select(is_infinite, infinite, normal))
    return b.from_bits(b.or_(bits, sign))


def half_of_float(b: Instructions, x: Handle) -> Handle:
    """Write code that rounds a float to float16, as ``ir.numbers.narrow`` does. Return the bits.

    Finite numbers saturate, and infinities remain. NaN becomes quiet, and loses its payload.
    """
    bits = b.bits(x)
    sign = b.and_(b.lshr(bits, 16), b.constant(0x8000, bits))
    magnitude = b.and_(bits, b.constant(0x7FFFFFFF, bits))
    odd = b.and_(b.lshr(magnitude, 13), b.constant(1, bits))
    rounded = b.lshr(b.iadd(magnitude, b.iadd(odd, b.constant(0xFFF, bits))), 13)
    normal = b.isub(rounded, b.constant(_REBIAS << 10, bits))
    limited = b.select(b.compare("sgt", normal, b.constant(_HALF_MAX, bits)), b.constant(_HALF_MAX, bits), normal)
    # One ulp of float32 0.5 is the spacing of float16 denormals, so adding 0.5 rounds to a denormal.
    half = b.constant(0.5, x)
    small = b.isub(b.bits(b.add(b.from_bits(magnitude), half)), b.bits(half))
    is_small = b.compare("slt", magnitude, b.constant(_REBIAS + 1 << 23, bits))
    finite = b.select(is_small, small, limited)
    is_infinite = b.compare("eq", magnitude, b.constant(0x7F800000, bits))
    other = b.select(is_infinite, b.constant(_HALF_INFINITE, bits), b.constant(_HALF_QUIET, bits))
    is_finite = b.compare("slt", magnitude, b.constant(0x7F800000, bits))
    return b.convert("trunc", b.or_(b.select(is_finite, finite, other), sign), "f16")
