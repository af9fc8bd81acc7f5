"""Quotients, remainders and powers of integers, as loops over bits.

Some processors cannot divide integers, and none can divide vectors of integers. LLVM would call a library, or divide
lane by lane. The number of iterations of a division is about the number of bits of the vector's largest quotient.
"""

from __future__ import annotations

from collections.abc import Sequence

from .instructions import Handle, Instructions


def quotient(b: Instructions, x: Handle, y: Handle) -> Handle:
    """Return x / y rounded towards 0, and 0 where y is 0."""
    return b.helper(f"div_{x.element}_{x.lanes}", (x.element, x.lanes), [x, y], _quotient)


def remainder_of_integers(b: Instructions, x: Handle, y: Handle) -> Handle:
    """Return the remainder of x / y, with the sign of x, and 0 where y is 0."""
    return b.helper(f"fmod_{x.element}_{x.lanes}", (x.element, x.lanes), [x, y], _remainder)


def power_of_integers(b: Instructions, x: Handle, y: Handle) -> Handle:
    """Return x^y with wraparound. For negative y, the result is 1 / x^-y rounded towards 0, or 0 where x is 0."""
    return b.helper(f"power_{x.element}_{x.lanes}", (x.element, x.lanes), [x, y], _power)


def _quotient(b: Instructions, operands: Sequence[Handle]) -> Handle:
    x, y = map(b.frozen, operands)
    magnitude, _ = _long_division(b, x, y)
    return _with_sign(b, magnitude, b.xor(x, y))


def _remainder(b: Instructions, operands: Sequence[Handle]) -> Handle:
    x, y = map(b.frozen, operands)
    _, rest = _long_division(b, x, y)
    return _with_sign(b, rest, x)


def _with_sign(b: Instructions, magnitude: Handle, sign: Handle) -> Handle:
    """Negate the magnitude where ``sign`` is negative."""
    zero = b.constant(0, magnitude)
    return b.select(b.compare("slt", sign, zero), b.isub(zero, magnitude), magnitude)


def _long_division(b: Instructions, x: Handle, y: Handle) -> tuple[Handle, Handle]:
    """Return quotient and remainder of the magnitudes, by long division. Both are 0 where y is 0."""
    zero, one = b.constant(0, x), b.constant(1, x)
    by_zero = b.compare("eq", y, zero)
    dividend = _with_sign(b, x, x)
    divisor = b.select(by_zero, one, _with_sign(b, y, y))
    gap = b.isub(_leading_zeros(b, divisor), _leading_zeros(b, dividend))
    gap = b.select(b.compare("sgt", gap, zero), gap, zero)

    def iterate(values: Sequence[Handle]) -> tuple[list[Handle], Handle]:
        rest, shifted, quotient_bits, left = values
        is_due = b.compare("sge", left, zero)
        fits = b.logical_and(is_due, b.compare("uge", rest, shifted))
        rest = b.select(fits, b.isub(rest, shifted), rest)
        quotient_bits = b.select(
            is_due, b.or_(b.shl(quotient_bits, 1), b.convert("zext", fits, x.element)), quotient_bits
        )
        left = b.isub(left, one)
        return [rest, b.lshr(shifted, 1), quotient_bits, left], b.compare("sge", left, zero)

    start = [dividend, b.binary("shl", divisor, gap), zero, gap]
    rest, _, quotient_bits, _ = b.repeat(start, iterate)
    return b.select(by_zero, zero, quotient_bits), b.select(by_zero, zero, rest)


def _leading_zeros(b: Instructions, x: Handle) -> Handle:
    """Return the number of leading zero bits."""
    return b.intrinsic("ctlz", x, x, Handle("false", "i1", 1))


def _power(b: Instructions, operands: Sequence[Handle]) -> Handle:
    x, exponent = map(b.frozen, operands)
    zero, one = b.constant(0, x), b.constant(1, x)
    is_below = b.compare("slt", exponent, zero)
    # For a negative exponent, the result is nonzero only for the bases 1 and -1, where only the parity matters.
    count = b.select(is_below, b.and_(exponent, one), exponent)

    def iterate(values: Sequence[Handle]) -> tuple[list[Handle], Handle]:
        result, base, left = values
        is_odd = b.compare("ne", b.and_(left, one), zero)
        result = b.select(is_odd, b.imul(result, base), result)
        left = b.lshr(left, 1)
        return [result, b.imul(base, base), left], b.compare("ne", left, zero)

    result, _, _ = b.repeat([one, x, count], iterate)
    is_unit = b.logical_or(b.compare("eq", x, one), b.compare("eq", x, b.constant(-1, x)))
    return b.select(b.logical_and(is_below, b.logical_not(is_unit)), zero, result)
