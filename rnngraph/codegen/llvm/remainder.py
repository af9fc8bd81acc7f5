"""Remainder of a division of floats, exact for all operands: long division of significands.

Both operands are split into a significand in [1, 2) and an exponent. Each iteration of a loop computes as many bits of
the quotient as fit into a float. An iteration scales the remainder by the corresponding power of two, and divides it by
the divisor's significand. With q the integer nearest to that quotient, it subtracts q times the divisor's significand.

All results are exact. The remainder is a multiple of u, the unit in the last place of the significand, and at most 5/8
of the divisor in magnitude. Therefore the remainder is a float. A fused multiply-add rounds the difference only once,
which does not change it. Without a fused multiply-add, the divisor is split into two halves. q has so few bits that its
products with both halves are exact. The difference after the first subtraction is exact, too, because it is less than
2^(fraction bits + 1) times u.
"""

from __future__ import annotations

from collections.abc import Sequence

from .instructions import Handle, Instructions
from .vecmath_tables import FORMATS, Format


def remainder_of_floats(b: Instructions, x: Handle, y: Handle) -> Handle:
    """Return ``fmod(x, y)``: x minus y times the quotient rounded towards 0, with the sign of x.

    The result is NaN where x is infinite, y is 0, or either is NaN.
    """
    name = f"fmod_{x.element}_{x.lanes}"
    return b.helper(name, (x.element, x.lanes), [x, y], lambda inner, operands: _remainder(inner, *operands))


def _remainder(b: Instructions, x: Handle, y: Handle) -> Handle:
    """Write code for the remainder of a division of floats ``x / y``. Return the remainder."""
    f = FORMATS[b.dtype_of(x)]
    x, y = b.frozen(x), b.frozen(y)
    magnitude, divisor = b.abs(x), b.abs(y)
    rest, exponent = _significand_and_exponent(b, magnitude, f)
    unit, scale = _significand_and_exponent(b, divisor, f)
    is_finite = b.compare("olt", magnitude, b.constant(float("inf"), x))
    is_defined = b.logical_and(is_finite, b.compare("ogt", divisor, b.constant(0.0, y)))
    zero = b.constant(0, exponent)
    gap = b.select(is_defined, b.isub(exponent, scale), zero)
    width = _bits_per_iteration(b, f)

    def iterate(values: Sequence[Handle]) -> tuple[list[Handle], Handle]:
        rest, left = values
        bits = b.select(b.compare("slt", left, b.constant(width, left)), left, b.constant(width, left))
        bits = b.select(b.compare("sgt", bits, zero), bits, zero)
        rest = _subtract_multiple(b, b.mul(rest, _power_of_two(b, bits, f)), unit, f)
        left = b.isub(left, b.constant(width, left))
        return [rest, left], b.compare("sgt", left, zero)

    rest, _ = b.repeat([rest, gap], iterate)
    rest = b.select(b.compare("olt", rest, b.constant(0.0, rest)), b.add(rest, unit), rest)
    half = b.ashr(scale, 1)  # scale in two halves, because 2^scale may be denormal
    value = b.mul(b.mul(rest, _power_of_two(b, half, f)), _power_of_two(b, b.isub(scale, half), f))
    value = b.select(b.compare("slt", gap, zero), x, b.copysign(value, x))
    return b.select(is_defined, value, b.constant(float("nan"), value))


def _significand_and_exponent(b: Instructions, x: Handle, f: Format) -> tuple[Handle, Handle]:
    """Return the significand in [1, 2) and the exponent of a nonnegative float.

    The exponent of 0 is less than that of any other float.
    """
    raised = f.fraction_bits + 1
    is_subnormal = b.compare("olt", x, b.constant(f.smallest_normal, x))
    i = b.bits(b.select(is_subnormal, b.mul(x, b.constant(2.0**raised, x)), x))
    offset = b.select(is_subnormal, b.constant(f.bias + raised, i), b.constant(f.bias, i))
    fraction = b.and_(i, b.constant((1 << f.fraction_bits) - 1, i))
    return b.from_bits(b.or_(fraction, b.constant(f.one, i))), b.isub(b.lshr(i, f.fraction_bits), offset)


def _power_of_two(b: Instructions, exponent: Handle, f: Format) -> Handle:
    """Return 2^exponent for an integer exponent, if that is a normal float."""
    return b.from_bits(b.shl(b.iadd(exponent, b.constant(f.bias, exponent)), f.fraction_bits))


def _low_bits(f: Format) -> int:
    """Return the number of bits in the lower half of a significand."""
    return (f.fraction_bits + 2) // 2


def _bits_per_iteration(b: Instructions, f: Format) -> int:
    """Return the bits of the quotient that an iteration computes. The magnitude of q is less than 2^(bits + 1)."""
    return f.fraction_bits - 3 if b.has_fma else f.fraction_bits - 2 - _low_bits(f)


def _subtract_multiple(b: Instructions, rest: Handle, unit: Handle, f: Format) -> Handle:
    """Write code for ``rest`` minus the multiple of ``unit`` nearest to it, exactly. Return the difference."""
    q = b.round_even(b.div(rest, unit))
    if b.has_fma:
        return b.fma(b.neg(q), unit, rest)
    i = b.bits(unit)
    high = b.from_bits(b.and_(i, b.constant(-(1 << _low_bits(f)), i)))
    low = b.sub(unit, high)
    return b.sub(b.sub(rest, b.mul(q, high)), b.mul(q, low))
