"""Building blocks of elementary functions: the interface of their builder, and steps that several functions share."""

from __future__ import annotations

from typing import Protocol

from .vecmath_tables import FORMATS, Format

Handle = object


class VectorBuilder(Protocol):
    """Interface of a code generator for elementary functions. Each operation returns a new, opaque value.

    - Operations on floats round once, to nearest, ties to even, without flags that permit reassociation or exclude NaN.
    - ``fma(x, y, z)`` is x·y + z, rounded once if the target has a fused multiply-add.
    - Integers are as wide as floats, and wrap. ``bits`` reinterprets floats as integers, ``from_bits`` the reverse.
    - ``compare`` takes LLVM's name of a comparison first, such as "olt". It returns a mask for ``select``.
    - Shift counts are Python integers.
    """

    @property
    def has_fma(self) -> bool:
        """True if ``fma`` rounds once."""
        ...

    def dtype_of(self, x: Handle, /) -> str:
        """Return "float32" or "float64"."""
        ...

    def constant(self, value: float, like: Handle) -> Handle:
        """Return a value in all lanes, rounded to the element type of ``like``."""
        ...

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

    def reciprocal_estimate(self, x: Handle, /) -> Handle | None:
        """Return 1/x to within 2^-14, for a normal x with a normal reciprocal; None if the target has no estimates."""
        ...

    def scale(self, x: Handle, exponent: Handle, /) -> Handle | None:
        """Return x·2^exponent, rounded once, for an exponent that is an integral float.

        Return None if the target has no such instruction.
        """
        ...


def format_of(b: VectorBuilder, x: Handle) -> Format:
    """Return the constants for the type of a value."""
    return FORMATS[b.dtype_of(x)]


def at_most(b: VectorBuilder, x: Handle, limit: float) -> Handle:
    """Return min(x, limit), or NaN for NaN."""
    bound = b.constant(limit, like=x)
    return b.select(b.compare("ogt", x, bound), bound, x)


def at_least(b: VectorBuilder, x: Handle, limit: float) -> Handle:
    """Return max(x, limit), or NaN for NaN."""
    bound = b.constant(limit, like=x)
    return b.select(b.compare("olt", x, bound), bound, x)


def with_sign(b: VectorBuilder, magnitude: Handle, x: Handle) -> Handle:
    """Return ``copysign(magnitude, x)`` for a nonnegative magnitude, with one instruction less than in general."""
    i = b.bits(x)
    sign = b.and_(i, b.constant(-(1 << format_of(b, x).sign_shift), like=i))
    return b.from_bits(b.or_(b.bits(magnitude), sign))


def polynomial(b: VectorBuilder, x: Handle, square: Handle, coefficients: tuple[float, ...]) -> Handle:
    """Return the value of a polynomial, by Horner's scheme in x² over pairs of coefficients.

    This scheme needs about as many operations as Horner's scheme in x, with half the latency.
    """
    constants = [b.constant(c, like=x) for c in coefficients]
    pairs = [b.fma(odd, x, even) for even, odd in zip(constants[0::2], constants[1::2], strict=False)]
    terms = pairs + constants[len(pairs) * 2 :]
    result = terms[-1]
    for term in reversed(terms[:-1]):
        result = b.fma(square, result, term)
    return result


def reduce_exponent(
    b: VectorBuilder, x: Handle, factor: float, offset: int, ln2: tuple[float, ...]
) -> tuple[Handle, Handle, Handle]:
    """Reduce the argument of exp(factor·x) = 2^n · exp(factor·r) so that |factor·r| <= ln2/2 (Cody and Waite).

    |x| must be so small that n fits into the low bits, and the factor must be ± a power of two. The constants, not x,
    are scaled by the factor, which saves a multiplication.

    Returns:
        r, n as a float, and an integer whose low bits are n + offset.
    """
    f = format_of(b, x)
    magic = b.constant(f.magic + offset, like=x)
    shifted = b.fma(x, b.constant(factor * 1.4426950408889634, like=x), magic)
    n = b.sub(shifted, magic)
    r = x
    for piece in ln2:
        r = b.fma(n, b.constant(-piece / factor, like=x), r)
    return r, n, b.bits(shifted)


def times_power_of_two(b: VectorBuilder, x: Handle, n: Handle, biased: Handle, f: Format) -> Handle:
    """Return x·2^n, rounded once, for x in [1/2, 2]. ``biased`` is an integer whose low bits are n + 2·bias.

    If the target has no instruction for it, x is multiplied by two powers of two, because 2^n itself may be out of
    range. The first product is exact, so that a denormal result is rounded once.
    """
    scaled = b.scale(x, n)
    if scaled is not None:
        return scaled
    half = b.lshr(biased, 1)
    return b.mul(b.mul(x, power_of_two(b, half, f)), power_of_two(b, b.isub(biased, half), f))


def power_of_two(b: VectorBuilder, biased: Handle, f: Format) -> Handle:
    """Return 2^n from an integer whose low bits are n + bias, from 1 to 2·bias. Higher bits are shifted out."""
    return b.from_bits(b.shl(biased, f.fraction_bits))


def scaled(coefficients: tuple[float, ...], factor: float) -> tuple[float, ...]:
    """Return the coefficients of factor·p(factor·r), where p is the polynomial with the given ``coefficients``.

    The coefficients are exact if the factor is ± a power of two.
    """
    return tuple(c * factor ** (k + 1) for k, c in enumerate(coefficients))


def exp_of_remainder(b: VectorBuilder, r: Handle, factor: float, f: Format) -> Handle:
    """Return exp(factor·r) for a reduced r. 1 is added last, so that nearly all error is from rounding that sum."""
    h = polynomial(b, r, b.mul(r, r), scaled(f.exp, factor))
    return b.fma(r, h, b.constant(1.0, like=r))


def expm1_of_remainder(b: VectorBuilder, r: Handle, factor: float, f: Format) -> Handle:
    """Return expm1(factor·r) / factor for a reduced r, with a small relative error near zero.

    For a denormal r, the result is r.
    """
    square = b.mul(r, r)
    return b.fma(square, polynomial(b, r, square, scaled(f.expm1, factor)), r)


def exponent_as_float(b: VectorBuilder, shifted: Handle, offset: Handle, f: Format) -> Handle:
    """Return the exponent field of ``shifted`` minus ``offset`` as a float, without a conversion of integers."""
    field = b.lshr(shifted, f.fraction_bits)
    large = f.one + (f.fraction_bits << f.fraction_bits)  # bits of 2^fraction_bits
    return b.sub(b.from_bits(b.or_(field, b.constant(large, like=field))), offset)


def significand(b: VectorBuilder, x: Handle) -> tuple[Handle, Handle]:
    """Return m in [2/3, 4/3) and an integral float e, such that x = m·2^e, for a finite x > 0."""
    f = format_of(b, x)
    raised = f.fraction_bits + 2
    denormal = b.compare("olt", x, b.constant(f.smallest_normal, like=x))
    normal = b.select(denormal, b.mul(x, b.constant(2.0**raised, like=x)), x)
    offset = 2.0**f.fraction_bits + f.bias
    offsets = b.select(denormal, b.constant(offset + raised, like=x), b.constant(offset, like=x))
    i = b.bits(normal)
    shifted = b.iadd(i, b.constant(f.one - f.two_thirds, like=i))
    fraction_mask = b.constant((1 << f.fraction_bits) - 1, like=i)
    mantissa = b.from_bits(b.iadd(b.and_(shifted, fraction_mask), b.constant(f.two_thirds, like=i)))
    return mantissa, exponent_as_float(b, shifted, offsets, f)
