"""Elementary functions as explicit vector code: polynomials, integer arithmetic on exponents, few divisions.

Each function takes a builder and a float vector of any lane count, float32 or float64, and returns a vector
of the same type. There are no tables, no branches, no library calls, and no operation whose result LLVM could
call poison: integers are read from the bits of a float to which a large constant was added, never converted.
Coefficients are minimax fits made by `tests/codegen/llvm/derive_vecmath.py`, and `ERROR_BOUNDS` are established by
`tests/codegen/llvm/test_vecmath.py`.

The code is written for fused multiply-add but doesn't depend on it: where a target has none and `fma` becomes
a product and a sum, argument reduction stays exact, since the leading pieces of its constants are short.

NaN gives NaN everywhere: limits are applied by `select(x > limit, limit, x)`, one instruction on x86, which
keeps an x that compares with nothing. Where the caller's floating-point mode flushes denormal numbers, so
does the code here; the bounds are for the default mode.

Sources: W. J. Cody and W. Waite, *Software Manual for the Elementary Functions*, 1980 (argument reduction);
J.-M. Muller, *Elementary Functions*, 3rd edition, 2016 (the rest); the intervals on which N. Juffa's public
single-precision log, log1p and erf work. All polynomials are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rnngraph.codegen.llvm.vecmath_tables import FORMATS, Format

Handle = object


class VectorBuilder(Protocol):
    """What these functions need of a code generator. Values are opaque; every operation returns a new one.

    Float operations round once, to nearest even, and no flag permits reassociation or assumes that there is
    no NaN. `fma(x, y, z)` is x·y + z, rounded once where the target can. Integers have the width of their
    floats and wrap; `bits` and `from_bits` reinterpret. `compare` takes LLVM's names, such as "olt", and
    gives masks, which only `select` takes. Shift counts are Python integers.
    """

    def dtype_of(self, x: Handle, /) -> str:
        """Return "float32" or "float64"."""
        ...

    def constant(self, value: float, like: Handle) -> Handle:
        """Return the value, rounded to the element type of `like`, in every lane."""
        ...

    # fmt: off
    def add(self, x: Handle, y: Handle, /) -> Handle: ...
    def sub(self, x: Handle, y: Handle, /) -> Handle: ...
    def mul(self, x: Handle, y: Handle, /) -> Handle: ...
    def div(self, x: Handle, y: Handle, /) -> Handle: ...
    def neg(self, x: Handle, /) -> Handle: ...
    def sqrt(self, x: Handle, /) -> Handle: ...
    def fma(self, x: Handle, y: Handle, z: Handle, /) -> Handle: ...
    def abs(self, x: Handle, /) -> Handle: ...
    def copysign(self, magnitude: Handle, sign: Handle, /) -> Handle: ...
    def compare(self, op: str, x: Handle, y: Handle, /) -> Handle: ...
    def select(self, mask: Handle, x: Handle, y: Handle, /) -> Handle: ...
    def bits(self, x: Handle, /) -> Handle: ...
    def from_bits(self, i: Handle, /) -> Handle: ...
    def iadd(self, x: Handle, y: Handle, /) -> Handle: ...
    def isub(self, x: Handle, y: Handle, /) -> Handle: ...
    def and_(self, x: Handle, y: Handle, /) -> Handle: ...
    def or_(self, x: Handle, y: Handle, /) -> Handle: ...
    def xor(self, x: Handle, y: Handle, /) -> Handle: ...
    def shl(self, x: Handle, count: int, /) -> Handle: ...
    def lshr(self, x: Handle, count: int, /) -> Handle: ...
    # fmt: on

    def reciprocal_estimate(self, x: Handle, /) -> Handle | None:
        """Return 1/x within 2^-14 of itself, for a normal x whose reciprocal is one; None where a division is due."""
        ...


def _format(b: VectorBuilder, x: Handle) -> Format:
    return FORMATS[b.dtype_of(x)]


def _at_most(b: VectorBuilder, x: Handle, limit: float) -> Handle:
    bound = b.constant(limit, like=x)
    return b.select(b.compare("ogt", x, bound), bound, x)


def _at_least(b: VectorBuilder, x: Handle, limit: float) -> Handle:
    bound = b.constant(limit, like=x)
    return b.select(b.compare("olt", x, bound), bound, x)


def _with_sign(b: VectorBuilder, magnitude: Handle, x: Handle) -> Handle:
    """`copysign` for a magnitude whose sign bit is known to be clear: one instruction less."""
    i = b.bits(x)
    sign = b.and_(i, b.constant(-(1 << _format(b, x).sign_shift), like=i))
    return b.from_bits(b.or_(b.bits(magnitude), sign))


def _polynomial(b: VectorBuilder, x: Handle, square: Handle, coefficients: tuple[float, ...]) -> Handle:
    """Horner's scheme in x² over pairs of coefficients: as many operations as in x, half the latency."""
    constants = [b.constant(c, like=x) for c in coefficients]
    pairs = [b.fma(odd, x, even) for even, odd in zip(constants[0::2], constants[1::2], strict=False)]
    terms = pairs + constants[len(pairs) * 2 :]
    result = terms[-1]
    for term in reversed(terms[:-1]):
        result = b.fma(square, result, term)
    return result


def _reduce_exponent(
    b: VectorBuilder, x: Handle, factor: float, offset: int, ln2: tuple[float, ...]
) -> tuple[Handle, Handle]:
    """Write exp(factor·x) as 2^n · exp(factor·r), |factor·r| <= ln2/2 (Cody and Waite).

    Returns r and an integer whose low bits are n + offset; the caller knows that x is bounded. The factor, a
    power of two up to sign, is moved into the constants: scaling ln2 instead of x saves a multiplication.
    """
    f = _format(b, x)
    magic = b.constant(f.magic + offset, like=x)
    shifted = b.fma(x, b.constant(factor * 1.4426950408889634, like=x), magic)
    n = b.sub(shifted, magic)
    r = x
    for piece in ln2:
        r = b.fma(n, b.constant(-piece / factor, like=x), r)
    return r, b.bits(shifted)


def _power_of_two(b: VectorBuilder, biased: Handle, f: Format) -> Handle:
    """2^n from an integer whose low bits are n + bias, in 1 … 2·bias; its higher bits are shifted out."""
    return b.from_bits(b.shl(biased, f.fraction_bits))


def _scaled(coefficients: tuple[float, ...], factor: float) -> tuple[float, ...]:
    """Turn p(r) into factor·p(factor·r); exact, as factor is a power of two up to sign."""
    return tuple(c * factor ** (k + 1) for k, c in enumerate(coefficients))


def _exp_of_remainder(b: VectorBuilder, r: Handle, factor: float, f: Format) -> Handle:
    """exp(factor·r) for a reduced r; 1 is added last, so that this rounding is nearly the only one."""
    h = _polynomial(b, r, b.mul(r, r), _scaled(f.exp, factor))
    return b.fma(r, h, b.constant(1.0, like=r))


def _expm1_of_remainder(b: VectorBuilder, r: Handle, factor: float, f: Format) -> Handle:
    """expm1(factor·r) / factor for a reduced r; relatively exact near zero, and r itself for a denormal r."""
    square = b.mul(r, r)
    return b.fma(square, _polynomial(b, r, square, _scaled(f.expm1, factor)), r)


def _quotient(b: VectorBuilder, numerator: Handle, denominator: Handle) -> Handle:
    """numerator / denominator, 1/16 ulp worse than rounded correctly at most; of -0 the sign may be lost.

    The denominator and its reciprocal are normal numbers. An estimate of the reciprocal, and a correction by what
    the quotient leaves over, which is exact but for the estimate's error squared: a vector division keeps its unit
    busy several times as long.
    """
    estimate = b.reciprocal_estimate(denominator)
    if estimate is None:
        return b.div(numerator, denominator)
    quotient = b.mul(numerator, estimate)
    rest = b.fma(b.neg(denominator), quotient, numerator)
    return b.fma(rest, estimate, quotient)


def exp(b: VectorBuilder, x: Handle) -> Handle:
    """e^x for all x, denormal results included: 2^n·(1 + r·h(r)), n = round(x / ln2).

    The scale is applied in two halves: 2^n alone would leave the range at either end, and as the first
    product is exact, a denormal result is rounded once.
    """
    f = _format(b, x)
    x = _at_least(b, _at_most(b, x, f.exp_limits[1]), f.exp_limits[0])
    r, biased = _reduce_exponent(b, x, 1.0, 2 * f.bias, f.ln2)
    half = b.lshr(biased, 1)
    first, second = _power_of_two(b, half, f), _power_of_two(b, b.isub(biased, half), f)
    return b.mul(b.mul(_exp_of_remainder(b, r, 1.0, f), first), second)


def expm1(b: VectorBuilder, x: Handle) -> Handle:
    """e^x - 1 for all x, relatively exact near zero: 2^n·expm1(r) + (2^n - 1).

    Half of it is computed and doubled, since 2^n overflows shortly before the result does. Where |x| is less
    than the type's resolution the result is x itself, which keeps -0 and denormal numbers.
    """
    f = _format(b, x)
    held = _at_least(b, _at_most(b, x, f.exp_limits[1]), f.expm1_lower_limit)
    r, biased = _reduce_exponent(b, held, 1.0, f.bias - 1, f.ln2)
    scale = _power_of_two(b, biased, f)
    half = b.fma(scale, _expm1_of_remainder(b, r, 1.0, f), b.sub(scale, b.constant(0.5, like=x)))
    tiny = b.compare("olt", b.abs(x), b.constant(2.0 ** -(f.fraction_bits + 2), like=x))
    return b.select(tiny, x, b.add(half, half))


def tanh(b: VectorBuilder, x: Handle) -> Handle:
    """The hyperbolic tangent for all x: e/(e + 1), e = expm1(2|x|)/2, with the sign of x. One quotient.

    For small x, e is x to first order, so denormal numbers and zeros come out unchanged. At most e is 1e17.
    """
    f = _format(b, x)
    magnitude = _at_most(b, b.abs(x), f.tanh_limit)
    # One rounded ln2 will do: an error in n·ln2 is one relative to e, and counts for less the larger e is.
    r, biased = _reduce_exponent(b, magnitude, 2.0, f.bias, (sum(f.ln2),))
    scale = _power_of_two(b, biased, f)
    rest = b.fma(scale, b.constant(0.5, like=x), b.constant(-0.5, like=x))
    e = b.fma(scale, _expm1_of_remainder(b, r, 2.0, f), rest)
    return _with_sign(b, _quotient(b, e, b.add(e, b.constant(1.0, like=x))), x)


def sigmoid(b: VectorBuilder, x: Handle) -> Handle:
    """1/(1 + exp(-x)) for all x, relatively exact where it is small, denormal results included. One quotient.

    Computed as c / (c + c·exp(-x)), where c·exp(-x) cannot overflow: the quotient rounds a denormal result
    once, and neither |x| nor a choice between two forms is needed. c is 2^-64 in float32 and 2^-512 in float64,
    and the denominator at most 2^87 and 2^565.
    """
    f = _format(b, x)
    scaling = (f.bias + 1) // 2
    x = _at_least(b, _at_most(b, x, f.sigmoid_upper_limit), f.exp_limits[0])
    # With the factor -1 the reduction adds where it would subtract, and nothing needs negating.
    r, biased = _reduce_exponent(b, x, -1.0, f.bias - scaling, f.ln2)
    c = b.constant(2.0**-scaling, like=x)
    return _quotient(b, c, b.fma(_exp_of_remainder(b, r, -1.0, f), _power_of_two(b, biased, f), c))


def _log_of_parts(b: VectorBuilder, fraction: Handle, exponent: Handle, f: Format) -> Handle:
    """log((1 + fraction)·2^exponent), both floats, |fraction| <= 1/3."""
    square = b.mul(fraction, fraction)
    q = _polynomial(b, fraction, square, f.log1p)
    low = b.fma(square, q, b.mul(exponent, b.constant(f.ln2[1], like=fraction)))
    return b.fma(exponent, b.constant(f.ln2[0], like=fraction), b.add(fraction, low))


def _exponent_as_float(b: VectorBuilder, shifted: Handle, offset: Handle, f: Format) -> Handle:
    """The exponent field of `shifted` less `offset`, as a float: it becomes the low bits of a large one."""
    field = b.lshr(shifted, f.fraction_bits)
    large = f.one + (f.fraction_bits << f.fraction_bits)  # bits of 2^fraction_bits
    return b.sub(b.from_bits(b.or_(field, b.constant(large, like=field))), offset)


def _log_domain(b: VectorBuilder, argument: Handle, result: Handle) -> Handle:
    """The values of log outside the finite positive numbers: NaN below 0, -∞ at 0, ∞ at ∞, NaN at NaN."""
    zero, infinity = b.constant(0.0, like=result), b.constant(float("inf"), like=result)
    result = b.select(b.compare("olt", argument, infinity), result, argument)
    pole, nan = b.constant(float("-inf"), like=result), b.constant(float("nan"), like=result)
    below = b.select(b.compare("oeq", argument, zero), pole, nan)
    return b.select(b.compare("ogt", argument, zero), result, below)


def log(b: VectorBuilder, x: Handle) -> Handle:
    """The natural logarithm for all x > 0, denormal numbers included: e·ln2 + log1p(m - 1), m in [2/3, 4/3).

    The interval holds 1 inside, so the result is relatively exact near 1. log(±0) is -∞; below, it is NaN.
    No division.
    """
    f = _format(b, x)
    raised = f.fraction_bits + 2
    denormal = b.compare("olt", x, b.constant(f.smallest_normal, like=x))
    normal = b.select(denormal, b.mul(x, b.constant(2.0**raised, like=x)), x)
    offset = 2.0**f.fraction_bits + f.bias
    offsets = b.select(denormal, b.constant(offset + raised, like=x), b.constant(offset, like=x))
    i = b.bits(normal)
    shifted = b.iadd(i, b.constant(f.one - f.two_thirds, like=i))
    fraction_mask = b.constant((1 << f.fraction_bits) - 1, like=i)
    mantissa = b.from_bits(b.iadd(b.and_(shifted, fraction_mask), b.constant(f.two_thirds, like=i)))
    exponent = _exponent_as_float(b, shifted, offsets, f)
    result = _log_of_parts(b, b.sub(mantissa, b.constant(1.0, like=x)), exponent, f)
    return _log_domain(b, x, result)


def log1p(b: VectorBuilder, x: Handle) -> Handle:
    """log(1 + x) for all x > -1, relatively exact near zero; -∞ at -1, NaN below; -0 stays -0. No division.

    The exponent e is that of the rounded 1 + x, but the fraction, x·2^-e + (2^-e - 1), comes from x itself.
    """
    f = _format(b, x)
    total = b.add(x, b.constant(1.0, like=x))
    i = b.bits(total)
    shifted = b.iadd(i, b.constant(f.one - f.two_thirds, like=i))
    exponent = _exponent_as_float(b, shifted, b.constant(2.0**f.fraction_bits + f.bias, like=x), f)
    field = b.isub(b.and_(shifted, b.constant(f.infinity, like=i)), b.constant(f.one, like=i))
    # 2^-e may be denormal, 4·2^-e is not. Where e isn't 0, x is a normal number, whose field can be lowered.
    four = b.constant(f.one + (2 << f.fraction_bits), like=i)
    rest = b.fma(b.from_bits(b.isub(four, field)), b.constant(0.25, like=x), b.constant(-1.0, like=x))
    fraction = b.add(b.from_bits(b.isub(b.bits(x), field)), rest)
    return b.copysign(_log_domain(b, total, _log_of_parts(b, fraction, exponent, f)), x)


def _sine_of_multiple(b: VectorBuilder, x: Handle, shift: float) -> Handle:
    """(-1)^n · sin(x - (n + shift)·π), n the integer nearest to x/π - shift; the shift is 0 or -1/2.

    Reducing by π rather than π/2 makes the polynomial longer by a term or two, but there is one only, and no
    selection between two.
    """
    f = _format(b, x)
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
    # Only arguments far beyond the range that is promised leave a larger remainder.
    r = _at_least(b, _at_most(b, r, 1.6), -1.6)
    square = b.mul(r, r)
    s = _polynomial(b, square, b.mul(square, square), f.sin)
    # Near π/2 rounding may carry the sum one place beyond 1.
    sine = _at_least(b, _at_most(b, b.fma(b.mul(square, r), s, r), 1.0), -1.0)
    parity = b.shl(b.bits(shifted), f.sign_shift)
    return b.from_bits(b.xor(b.bits(sine), parity))


def sin(b: VectorBuilder, x: Handle) -> Handle:
    """The sine; the bound holds for |x| <= 1e5 (float32) and 1e6 (float64). NaN at ±∞; -0 stays -0.

    Cody and Waite's reduction with π in pieces, then an odd polynomial on [-π/2, π/2]. Beyond the range, the
    absolute error grows with |x|, as multiples of π are no longer exact, until the result means nothing; it
    stays in [-1, 1].
    """
    sine = _sine_of_multiple(b, x, 0.0)
    return b.select(b.compare("oeq", x, b.constant(0.0, like=x)), x, sine)


def cos(b: VectorBuilder, x: Handle) -> Handle:
    """The cosine, as the sine of x + π/2; range and behaviour beyond it as for `sin`."""
    return _sine_of_multiple(b, x, -0.5)


def atan(b: VectorBuilder, x: Handle) -> Handle:
    """The arc tangent for all x: t + t³·a(t²) for t = |x| <= 1, else π/2 less that for t = 1/|x|; then the sign of x.

    One quotient. Its denominator is held at 2^64, where the result has long been π/2. For small x the result is x
    itself, so denormal numbers and zeros come out unchanged.
    """
    f = _format(b, x)
    one = b.constant(1.0, like=x)
    magnitude = b.abs(x)
    large = b.compare("ogt", magnitude, one)
    inverse = _quotient(b, one, _at_least(b, _at_most(b, magnitude, 2.0**64), 1.0))
    t = b.select(large, inverse, magnitude)
    square = b.mul(t, t)
    small = b.fma(b.mul(square, t), _polynomial(b, square, b.mul(square, square), f.atan), t)
    high, low = (b.constant(piece, like=x) for piece in f.half_pi)
    return _with_sign(b, b.select(large, b.sub(high, b.sub(small, low)), small), x)


def erf(b: VectorBuilder, x: Handle) -> Handle:
    """The error function for all x: a + a·p(a²) for a = |x| < 1, else 1 - exp(l(a - 2)); then the sign of x.

    l approximates log(erfc), which is smooth, and its absolute error counts for no more than erfc(a) <= 0.16.
    """
    f = _format(b, x)
    one = b.constant(1.0, like=x)
    a = _at_most(b, b.abs(x), f.erf_limit)
    square = b.mul(a, a)
    small = b.fma(a, _polynomial(b, square, b.mul(square, square), f.erf_small), a)
    t = b.sub(a, b.constant(2.0, like=x))
    r, biased = _reduce_exponent(b, _polynomial(b, t, b.mul(t, t), f.erf_large), 1.0, f.bias, f.ln2)
    complement = b.mul(_exp_of_remainder(b, r, 1.0, f), _power_of_two(b, biased, f))
    return _with_sign(b, b.select(b.compare("olt", a, one), small, b.sub(one, complement)), x)


FUNCTIONS: dict[str, Callable[[VectorBuilder, Handle], Handle]] = {
    "tanh": tanh, "sigmoid": sigmoid, "exp": exp, "expm1": expm1, "log": log, "log1p": log1p,
    "sin": sin, "cos": cos, "atan": atan, "erf": erf,
}  # fmt: skip

# Largest errors in units in the last place of the correctly rounded result, with fma or without, rounded up.
# Measured at every float32 (|x| <= 1e5 for sin and cos) with fma, and without it for tanh, sigmoid, exp,
# log and atan; the other functions without fma, and float64, were sampled.
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
}
