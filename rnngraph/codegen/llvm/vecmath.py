"""Elementary functions as explicit vector code: polynomials, integer arithmetic on exponents, and few divisions.

Each function takes a builder and a vector of float32 or float64 with any number of lanes, and returns a vector of the
same type. There are no tables, branches or library calls, and no operations whose result LLVM may consider poison.
Integers are not converted from floats: they are read from a float's bits, after the addition of a large constant.
``tests/codegen/llvm/derive_vecmath.py`` derives the coefficients, which are minimax fits.
``tests/codegen/llvm/test_vecmath.py`` establishes the ``ERROR_BOUNDS``.

The code is designed for fused multiply-add, but does not depend on it. If a target has none, ``fma`` becomes a product
and a sum. Argument reduction remains exact, because the leading pieces of its constants are short.

All functions of NaN are NaN. Limits are applied by ``select(x > limit, limit, x)``, a single instruction on x86, which
keeps an x that is NaN. If the caller's floating-point mode flushes denormals, the functions flush them, too. The bounds
are for the default mode.

Sources: W. J. Cody and W. Waite, *Software Manual for the Elementary Functions*, 1980 (argument reduction);
J.-M. Muller, *Elementary Functions*, 3rd edition, 2016 (other methods); N. Juffa's public single-precision log, log1p
and erf (intervals of their polynomials). All polynomials are our own.
"""

from __future__ import annotations

from collections.abc import Callable

from .vecmath_parts import Handle as Handle
from .vecmath_parts import VectorBuilder as VectorBuilder
from .vecmath_parts import (
    at_least,
    at_most,
    exp_of_remainder,
    expm1_of_remainder,
    exponent_as_float,
    format_of,
    polynomial,
    power_of_two,
    reduce_exponent,
    significand,
    times_power_of_two,
    with_sign,
)
from .vecmath_power import power
from .vecmath_tables import Format


def _quotient(b: VectorBuilder, numerator: Handle, denominator: Handle) -> Handle:
    """Return numerator / denominator, with at most 1/16 ulp more error than a rounded division.

    The sign of -0 may be lost. The denominator and its reciprocal must be normal.

    The quotient is computed from an estimate of the reciprocal, and corrected once by the remainder. The error is then
    about the square of the estimate's error. A vector division would occupy the divider several times as long.
    """
    estimate = b.reciprocal_estimate(denominator)
    if estimate is None:
        return b.div(numerator, denominator)
    quotient = b.mul(numerator, estimate)
    rest = b.fma(b.neg(denominator), quotient, numerator)
    return b.fma(rest, estimate, quotient)


def exp(b: VectorBuilder, x: Handle) -> Handle:
    """Return e^x for all x, including denormal results: 2^n·(1 + r·h(r)), n = round(x / ln2)."""
    f = format_of(b, x)
    x = at_least(b, at_most(b, x, f.exp_limits[1]), f.exp_limits[0])
    r, n, biased = reduce_exponent(b, x, 1.0, 2 * f.bias, f.ln2)
    return times_power_of_two(b, exp_of_remainder(b, r, 1.0, f), n, biased, f)


def expm1(b: VectorBuilder, x: Handle) -> Handle:
    """Return e^x - 1 for all x, with a small relative error near zero: 2^n·expm1(r) + (2^n - 1).

    Half of the result is computed and then doubled, because 2^n overflows for slightly smaller x than the result. If
    |x| is below the type's resolution, the result is x itself, which preserves -0 and denormal numbers.
    """
    f = format_of(b, x)
    clamped = at_least(b, at_most(b, x, f.exp_limits[1]), f.expm1_lower_limit)
    r, _, biased = reduce_exponent(b, clamped, 1.0, f.bias - 1, f.ln2)
    scale = power_of_two(b, biased, f)
    half = b.fma(scale, expm1_of_remainder(b, r, 1.0, f), b.sub(scale, b.constant(0.5, like=x)))
    tiny = b.compare("olt", b.abs(x), b.constant(2.0 ** -(f.fraction_bits + 2), like=x))
    return b.select(tiny, x, b.add(half, half))


def tanh(b: VectorBuilder, x: Handle) -> Handle:
    """Return the hyperbolic tangent for all x: e/(e + 1), where e = expm1(2|x|)/2, with the sign of x.

    The function needs one quotient. For small x, e equals |x| to first order, so that denormals and zeros are
    unchanged. The maximum of e is 1e17.
    """
    f = format_of(b, x)
    magnitude = at_most(b, b.abs(x), f.tanh_limit)
    # A single, rounded ln2 is enough: an error in n·ln2 is a relative error of e, which matters less for larger e.
    r, _, biased = reduce_exponent(b, magnitude, 2.0, f.bias, (sum(f.ln2),))
    scale = power_of_two(b, biased, f)
    rest = b.fma(scale, b.constant(0.5, like=x), b.constant(-0.5, like=x))
    e = b.fma(scale, expm1_of_remainder(b, r, 2.0, f), rest)
    return with_sign(b, _quotient(b, e, b.add(e, b.constant(1.0, like=x))), x)


def sigmoid(b: VectorBuilder, x: Handle) -> Handle:
    """Return 1/(1 + exp(-x)) for all x, with a small relative error also for small and denormal results.

    The result is computed as c / (c + c·exp(-x)), where c·exp(-x) cannot overflow. A denormal result is rounded only
    once, by the quotient. Neither |x| nor a selection between two formulas is needed. c is 2^-64 in float32 and 2^-512
    in float64. The denominator is at most 2^87 or 2^565.
    """
    f = format_of(b, x)
    scaling = (f.bias + 1) // 2
    x = at_least(b, at_most(b, x, f.sigmoid_upper_limit), f.exp_limits[0])
    # With the factor -1, the reduction adds instead of subtracting, so that no negation is needed.
    r, _, biased = reduce_exponent(b, x, -1.0, f.bias - scaling, f.ln2)
    c = b.constant(2.0**-scaling, like=x)
    return _quotient(b, c, b.fma(exp_of_remainder(b, r, -1.0, f), power_of_two(b, biased, f), c))


def _log_of_parts(b: VectorBuilder, fraction: Handle, exponent: Handle, f: Format) -> Handle:
    """Return log((1 + fraction)·2^exponent) for floats with |fraction| <= 1/3."""
    square = b.mul(fraction, fraction)
    q = polynomial(b, fraction, square, f.log1p)
    low = b.fma(square, q, b.mul(exponent, b.constant(f.ln2[1], like=fraction)))
    return b.fma(exponent, b.constant(f.ln2[0], like=fraction), b.add(fraction, low))


def _log_domain(b: VectorBuilder, argument: Handle, result: Handle) -> Handle:
    """Return ``result``, the logarithm of ``argument``, with its special values: NaN below 0, -∞ at 0, ∞ at ∞."""
    zero, infinity = b.constant(0.0, like=result), b.constant(float("inf"), like=result)
    result = b.select(b.compare("olt", argument, infinity), result, argument)
    pole, nan = b.constant(float("-inf"), like=result), b.constant(float("nan"), like=result)
    below = b.select(b.compare("oeq", argument, zero), pole, nan)
    return b.select(b.compare("ogt", argument, zero), result, below)


def log(b: VectorBuilder, x: Handle) -> Handle:
    """Return the natural logarithm for all x > 0, including denormals: e·ln2 + log1p(m - 1), m in [2/3, 4/3).

    The relative error is small near 1, because the interval of m contains 1. The result is -∞ at ±0, and NaN for
    negative x. No division is needed.
    """
    f = format_of(b, x)
    mantissa, exponent = significand(b, x)
    result = _log_of_parts(b, b.sub(mantissa, b.constant(1.0, like=x)), exponent, f)
    return _log_domain(b, x, result)


def log1p(b: VectorBuilder, x: Handle) -> Handle:
    """Return log(1 + x) for all x > -1, with a small relative error near zero, without a division.

    The result is -∞ at -1, NaN for smaller x, and -0 at -0. The exponent e is that of the rounded sum 1 + x, but the
    fraction is computed from x itself, as x·2^-e + (2^-e - 1).
    """
    f = format_of(b, x)
    total = b.add(x, b.constant(1.0, like=x))
    i = b.bits(total)
    shifted = b.iadd(i, b.constant(f.one - f.two_thirds, like=i))
    exponent = exponent_as_float(b, shifted, b.constant(2.0**f.fraction_bits + f.bias, like=x), f)
    field = b.isub(b.and_(shifted, b.constant(f.infinity, like=i)), b.constant(f.one, like=i))
    # 2^-e may be denormal, but 4·2^-e is not. If e is not 0, x is normal, and its exponent field can be lowered.
    four = b.constant(f.one + (2 << f.fraction_bits), like=i)
    rest = b.fma(b.from_bits(b.isub(four, field)), b.constant(0.25, like=x), b.constant(-1.0, like=x))
    fraction = b.add(b.from_bits(b.isub(b.bits(x), field)), rest)
    return b.copysign(_log_domain(b, total, _log_of_parts(b, fraction, exponent, f)), x)


def _sine_of_multiple(b: VectorBuilder, x: Handle, shift: float) -> Handle:
    """Return (-1)^n · sin(x - (n + shift)·π), where n is the integer nearest to x/π - shift. The shift is 0 or -1/2.

    A reduction by π/2 would need two polynomials, one or two terms shorter, and a selection.
    """
    f = format_of(b, x)
    magic, inverse = b.constant(f.magic, like=x), b.constant(0.3183098861837907, like=x)
    if not shift:
        shifted = b.fma(x, inverse, magic)
        n = b.sub(shifted, magic)
    else:
        shifted = b.add(b.fma(x, inverse, b.constant(-shift, like=x)), magic)
        n = b.add(b.sub(shifted, magic), b.constant(shift, like=x))
    r = x
    for piece in f.pi:
        r = b.fma(n, b.constant(-piece, like=x), r)
    # Only arguments far beyond the supported range have a larger remainder.
    r = at_least(b, at_most(b, r, 1.6), -1.6)
    square = b.mul(r, r)
    s = polynomial(b, square, b.mul(square, square), f.sin)
    # Near π/2, rounding may give the float after 1.
    sine = at_least(b, at_most(b, b.fma(b.mul(square, r), s, r), 1.0), -1.0)
    parity = b.shl(b.bits(shifted), f.sign_shift)
    return b.from_bits(b.xor(b.bits(sine), parity))


def sin(b: VectorBuilder, x: Handle) -> Handle:
    """Return the sine. The error bound holds for |x| <= 1e5 (float32) or 1e6 (float64). NaN at ±∞; -0 at -0.

    The function uses Cody and Waite's reduction with π in pieces, and an odd polynomial on [-π/2, π/2]. For larger |x|,
    multiples of π are not exact. The absolute error then grows with |x|, until the result is an arbitrary value in
    [-1, 1].
    """
    sine = _sine_of_multiple(b, x, 0.0)
    return b.select(b.compare("oeq", x, b.constant(0.0, like=x)), x, sine)


def cos(b: VectorBuilder, x: Handle) -> Handle:
    """Return the cosine, as the sine of x + π/2. The range is that of ``sin``."""
    return _sine_of_multiple(b, x, -0.5)


def atan(b: VectorBuilder, x: Handle) -> Handle:
    """Return the arc tangent for all x, by p(t) = t + t³·a(t²): p(|x|) if |x| <= 1, else π/2 - p(1/|x|), signed as x.

    The function needs one quotient, whose denominator is clamped to 2^64, where the result is π/2. For small x, the
    result is x itself, so that denormals and zeros are unchanged.
    """
    f = format_of(b, x)
    one = b.constant(1.0, like=x)
    magnitude = b.abs(x)
    large = b.compare("ogt", magnitude, one)
    inverse = _quotient(b, one, at_least(b, at_most(b, magnitude, 2.0**64), 1.0))
    t = b.select(large, inverse, magnitude)
    square = b.mul(t, t)
    small = b.fma(b.mul(square, t), polynomial(b, square, b.mul(square, square), f.atan), t)
    high, low = (b.constant(piece, like=x) for piece in f.half_pi)
    return with_sign(b, b.select(large, b.sub(high, b.sub(small, low)), small), x)


def erf(b: VectorBuilder, x: Handle) -> Handle:
    """Return the error function for all x, with the sign of x: a + a·p(a²) for a = |x| < 1, else 1 - exp(l(a - 2)).

    The polynomial l approximates log(erfc), which is smooth. In the result, the absolute error of l is multiplied by
    erfc(a) <= 0.16.
    """
    f = format_of(b, x)
    one = b.constant(1.0, like=x)
    a = at_most(b, b.abs(x), f.erf_limit)
    square = b.mul(a, a)
    small = b.fma(a, polynomial(b, square, b.mul(square, square), f.erf_small), a)
    t = b.sub(a, b.constant(2.0, like=x))
    r, _, biased = reduce_exponent(b, polynomial(b, t, b.mul(t, t), f.erf_large), 1.0, f.bias, f.ln2)
    complement = b.mul(exp_of_remainder(b, r, 1.0, f), power_of_two(b, biased, f))
    return with_sign(b, b.select(b.compare("olt", a, one), small, b.sub(one, complement)), x)


FUNCTIONS: dict[str, Callable[..., Handle]] = {
    "tanh": tanh,
    "sigmoid": sigmoid,
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "sin": sin,
    "cos": cos,
    "atan": atan,
    "erf": erf,
    "power": power,
}

# Maximum errors in units in the last place of the correctly rounded result, with and without fma, rounded up. With fma,
# all functions but power were measured at every float32 (|x| <= 1e5 for sin and cos). Without fma, tanh, sigmoid, exp,
# log and atan were measured at every float32. All others, and all functions in float64, were measured at samples.
ERROR_BOUNDS: dict[str, dict[str, float]] = {
    "tanh": {"float32": 2.7, "float64": 2.8},
    "sigmoid": {"float32": 2.6, "float64": 2.6},
    "exp": {"float32": 1.5, "float64": 1.5},
    "expm1": {"float32": 1.9, "float64": 2.4},
    "log": {"float32": 1.1, "float64": 1.2},
    "log1p": {"float32": 1.8, "float64": 1.3},
    "sin": {"float32": 3.4, "float64": 2.6},
    "cos": {"float32": 3.5, "float64": 2.6},
    "atan": {"float32": 1.8, "float64": 1.9},
    "erf": {"float32": 1.7, "float64": 1.7},
    "power": {"float32": 1.0, "float64": 1.2},
}
