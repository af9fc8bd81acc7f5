"""Powers of floats: exp(y·log(x)), where the logarithm and the product are pairs of floats.

With a logarithm in a single float, the error of the result would be about |y·log(x)| ulp. That is up to 104 ulp in
float32, and 745 in float64.
"""

from __future__ import annotations

from .vecmath_parts import (
    Handle,
    VectorBuilder,
    at_least,
    at_most,
    format_of,
    polynomial,
    reduce_exponent,
    significand,
    times_power_of_two,
)

Pair = tuple[Handle, Handle]
"""Number as the sum of two floats: the rounded number, and the rounding error."""


def power(b: VectorBuilder, x: Handle, y: Handle) -> Handle:
    """Return x to the power of y for all floats, with the special values of C.

    For finite x < 0, the result is NaN unless y is integral. x^0 and 1^y are 1, also if the other operand is NaN.
    """
    zero, one = b.constant(0.0, like=x), b.constant(1.0, like=x)
    infinity, nan = b.constant(float("inf"), like=x), b.constant(float("nan"), like=x)
    magnitude, finite = b.abs(x), b.compare("olt", b.abs(x), infinity)
    result = _exp_of(b, _times(b, _log_of(b, b.select(finite, magnitude, one)), _clamp_exponent(b, y)))
    is_up = b.compare("ogt", y, zero)
    at_zero, at_infinity = b.select(is_up, zero, infinity), b.select(is_up, infinity, zero)
    result = b.select(b.compare("oeq", magnitude, zero), at_zero, b.select(finite, result, at_infinity))
    signed = b.select(_is_whole(b, b.mul(y, b.constant(0.5, like=y))), result, b.copysign(result, x))
    is_below = b.compare("olt", x, zero)
    broken = b.select(is_below, b.select(finite, nan, result), result)
    result = b.select(_is_whole(b, y), signed, broken)
    result = b.select(b.compare("uno", x, y), nan, result)
    return b.select(b.compare("oeq", x, one), one, b.select(b.compare("oeq", y, zero), one, result))


def _clamp_exponent(b: VectorBuilder, y: Handle) -> Handle:
    """Clamp the exponent, so that no product overflows. Beyond the limits, a power is 0, 1 or infinite."""
    f = format_of(b, y)
    limit = 2.0 ** (2 * f.fraction_bits)
    return at_least(b, at_most(b, y, limit), -limit)


def _is_whole(b: VectorBuilder, y: Handle) -> Handle:
    """Return a mask that is true for integral floats and infinities."""
    f = format_of(b, y)
    large = b.constant(2.0**f.fraction_bits, like=y)
    magnitude = b.abs(y)
    rounded = b.sub(b.add(magnitude, large), large)
    return b.compare("oeq", b.select(b.compare("olt", magnitude, large), rounded, magnitude), magnitude)


def _sum_of(b: VectorBuilder, larger: Handle, smaller: Handle) -> Pair:
    """Return the exact sum of two floats, if the first is 0 or has at least the magnitude of the second."""
    total = b.add(larger, smaller)
    return total, b.sub(smaller, b.sub(total, larger))


def _product(b: VectorBuilder, x: Handle, y: Handle) -> Pair:
    """Return the product of two floats as a pair, exact up to the rounding of the second float (Dekker 1971)."""
    product = b.mul(x, y)
    if b.has_fma:
        return product, b.fma(x, y, b.neg(product))
    (x_high, x_low), (y_high, y_low) = _halves(b, x), _halves(b, y)
    rest = b.add(b.sub(b.mul(x_high, y_high), product), b.mul(x_low, y_high))
    return product, b.add(b.add(rest, b.mul(x_high, y_low)), b.mul(x_low, y_low))


def _halves(b: VectorBuilder, x: Handle) -> Pair:
    """Split a float into two floats, each with half of the significand's bits."""
    i = b.bits(x)
    low_bits = (format_of(b, x).fraction_bits + 2) // 2
    high = b.from_bits(b.and_(i, b.constant(-(1 << low_bits), like=i)))
    return high, b.sub(x, high)


def _product_of_pairs(b: VectorBuilder, x: Pair, y: Pair) -> Pair:
    """Return the product of two pairs."""
    high, low = _product(b, x[0], y[0])
    return high, b.fma(x[0], y[1], b.fma(x[1], y[0], low))


def _times(b: VectorBuilder, x: Pair, y: Handle) -> Pair:
    """Return the product of a pair and a float."""
    high, low = _product(b, x[0], y)
    return high, b.fma(x[1], y, low)


def _log_of(b: VectorBuilder, x: Handle) -> Pair:
    """Return log(x) of a finite x > 0, with an error of about 2^-11 units in the last place of one float.

    The logarithm is e·ln2 + 2 atanh(s), where s = (m - 1)/(m + 1) and |s| <= 1/5. 2 atanh(s) is computed as
    s·(2 + s²·(2/3 + s²·p(s²))). Terms up to s³ are pairs of floats; for the others, one float is enough.
    """
    f = format_of(b, x)
    one, two = b.constant(1.0, like=x), b.constant(2.0, like=x)
    mantissa, exponent = significand(b, x)
    numerator, denominator = b.sub(mantissa, one), b.add(mantissa, one)
    lost = b.sub(mantissa, b.sub(denominator, one))
    inverse = b.div(one, denominator)
    s = b.mul(numerator, inverse)
    high, low = _product(b, s, denominator)
    rest = b.sub(b.sub(b.sub(numerator, high), low), b.mul(s, lost))
    ratio = s, b.mul(rest, inverse)
    square = _product_of_pairs(b, ratio, ratio)
    tail = polynomial(b, square[0], b.mul(square[0], square[0]), f.atanh)
    third, third_rest = (b.constant(piece, like=x) for piece in f.atanh_third)
    cubic, cubic_rest = _sum_of(b, third, b.mul(square[0], tail))
    bend = _product_of_pairs(b, ratio, _product_of_pairs(b, square, (cubic, b.add(cubic_rest, third_rest))))
    fraction, fraction_rest = _sum_of(b, b.mul(s, two), bend[0])
    fraction_rest = b.add(fraction_rest, b.fma(ratio[1], two, bend[1]))
    total, total_rest = _sum_of(b, b.mul(exponent, b.constant(f.ln2[0], like=x)), fraction)
    return total, b.add(total_rest, b.fma(exponent, b.constant(f.ln2[1], like=x), fraction_rest))


def _exp_of(b: VectorBuilder, x: Pair) -> Handle:
    """Return e^x as 2^n·(1 + r + r²·q(r)), where 1 + r is an exact pair of floats, so that one rounding dominates."""
    f = format_of(b, x[0])
    one, zero = b.constant(1.0, like=x[0]), b.constant(0.0, like=x[0])
    clamped = at_least(b, at_most(b, x[0], f.exp_limits[1]), f.exp_limits[0])
    rest = b.select(b.compare("oeq", clamped, x[0]), x[1], zero)
    r, n, biased = reduce_exponent(b, clamped, 1.0, 2 * f.bias, f.ln2)
    r, rest = _sum_of(b, r, rest)
    total, total_rest = _sum_of(b, one, r)
    square = b.mul(r, r)
    value = b.add(total, b.fma(square, polynomial(b, r, square, f.expm1), b.add(total_rest, rest)))
    return times_power_of_two(b, value, n, biased, f)
