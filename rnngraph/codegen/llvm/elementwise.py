"""LLVM code of elementwise ops: single instructions, or functions of ``vecmath``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...ir.numbers import narrow, random
from .conversions import float_of_half, float_of_wide, half_of_float, wide_of_float
from .instructions import Handle, Instructions, float_text, overload_suffix
from .remainder import remainder_of_floats
from .vecmath import FUNCTIONS
from .whole_numbers import power_of_integers, quotient, remainder_of_integers

FLOAT_ELEMENTS = ("f32", "f64")
_ORDERED = {
    "less": ("olt", "slt"),
    "less_equal": ("ole", "sle"),
    "equal": ("oeq", "eq"),
    "not_equal": ("une", "ne"),
}
_ARITHMETIC = {
    "add": ("fadd", "add"),
    "sub": ("fsub", "sub"),
    "mul": ("fmul", "mul"),
}
_OF_INTEGERS = {
    "div": quotient,
    "fmod": remainder_of_integers,
    "power": power_of_integers,
}


def emit(b: Instructions, op: str, x: Sequence[Handle], element: str, attributes: Mapping[str, Any]) -> Handle:
    """Write an elementwise op on operands with equal lanes. Return its result, with elements of type ``element``."""
    floating = bool(x) and x[0].element in FLOAT_ELEMENTS
    if op in _OF_INTEGERS and not floating:
        return _OF_INTEGERS[op](b, x[0], x[1])
    if op in FUNCTIONS:
        return FUNCTIONS[op](b, *x)  # type: ignore[return-value]
    if op in _ARITHMETIC:
        return b.binary(_ARITHMETIC[op][0 if floating else 1], x[0], x[1], op)
    if op in _ORDERED:
        return b.compare(_ORDERED[op][0 if floating else 1], x[0], x[1])
    match op:
        case "div":
            return b.div(x[0], x[1])
        case "fmod":
            return remainder_of_floats(b, x[0], x[1])
        case "copysign":
            return b.copysign(x[0], x[1])
        case "fma":
            return b.fma(x[0], x[1], x[2])
        case "select":
            return b.select(x[0], x[1], x[2])
        case "maximum" | "minimum":
            return _extreme(b, op, x[0], x[1], floating)
        case "neg":
            return b.neg(x[0]) if floating else b.isub(b.constant(0, x[0]), x[0])
        case "abs":
            return (
                b.abs(x[0])
                if floating
                else b.select(b.compare("slt", x[0], b.constant(0, x[0])), b.isub(b.constant(0, x[0]), x[0]), x[0])
            )
        case "sign":
            return _sign(b, x[0], floating)
        case "stop_gradient":
            return x[0]
        case "straight_through":
            return x[1]
        case "round":
            return b.round_even(x[0])
        case "sqrt":
            return b.sqrt(x[0])
        case "not":
            return b.logical_not(x[0])
        case "and" | "or":
            return b.binary(op, x[0], x[1])
        case "cast":
            return _cast(b, x[0], element)
        case "random_key":
            return _key(b, x, attributes)
        case "sample_key":
            zero = b.literal(0, "i64", x[0].lanes)
            return _key(b, [*x, zero], attributes)
        case "random_uniform" | "sample_uniform":
            name = f"random_uniform_{x[0].lanes}"
            return b.helper(name, ("f32", x[0].lanes), x, lambda inner, arguments: random_uniform(inner, *arguments))
    raise ValueError(f"no native implementation of {op}")


def _key(b: Instructions, x: Sequence[Handle], attributes: Mapping[str, Any]) -> Handle:
    """Write the hash from which random bits are drawn: of seed, step, row and site, which identifies the random op."""
    word = random.site_word(attributes["site"], attributes["salt"])
    site = b.literal(word - (1 << 32) if word >> 31 else word, "i32", x[0].lanes)
    name = f"random_key_{x[0].lanes}"
    return b.helper(name, ("i64", x[0].lanes), [*x, site], lambda inner, arguments: random_key(inner, arguments))


def _extreme(b: Instructions, op: str, x: Handle, y: Handle, floating: bool) -> Handle:
    """Write a minimum or maximum, and return it. It is NaN if either operand is NaN, as in NumPy."""
    if not floating:
        return b.select(b.compare("sgt" if op == "maximum" else "slt", x, y), x, y)
    exceeds = "gt" if op == "maximum" else "lt"
    if _is_constant(x) and not _is_constant_nan(x):
        return b.select(b.compare(f"o{exceeds}", x, y), x, y)  # if y is NaN, the comparison is false: the result is y
    larger_or_nan = b.select(b.compare(f"u{exceeds}", x, y), x, y)
    if _is_constant(y):
        return y if _is_constant_nan(y) else larger_or_nan
    return b.select(b.compare("uno", y, y), y, larger_or_nan)


def _is_constant(x: Handle) -> bool:
    """True for a literal."""
    return not x.text.startswith("%")


def _is_constant_nan(x: Handle) -> bool:
    """True if a value is a constant NaN, of either sign."""
    nans = (float_text(sign * math.nan, x.element) for sign in (1, -1))
    return _is_constant(x) and any(nan in x.text for nan in nans)


def _sign(b: Instructions, x: Handle, floating: bool) -> Handle:
    """Write the sign: -1, 0 or 1, or a NaN unchanged."""
    zero, one = b.constant(0, x), b.constant(1, x)
    less, more = ("olt", "ogt") if floating else ("slt", "sgt")
    positive = b.select(b.compare(more, x, zero), one, x)  # zero and NaN are unchanged
    return b.select(b.compare(less, x, zero), b.constant(-1, x), positive)


def _cast(b: Instructions, x: Handle, element: str) -> Handle:
    """Write a conversion of ``x`` to another element type, as ``ir.numbers.narrow`` defines it. Return the result."""
    was, now = x.element, element
    if was == now:
        return x
    if now == "i1":
        zero = b.constant(0, x)
        return b.compare("une" if was in FLOAT_ELEMENTS else "ne", x, zero)
    if was == "i1":
        return b.convert("uitofp" if now in FLOAT_ELEMENTS else "zext", x, now)
    if "f16" in (was, now):
        return float_of_half(b, x) if was == "f16" else half_of_float(b, x)
    if "bf16" in (was, now):
        return b.from_bits(b.shl(b.convert("zext", x, "i32"), 16)) if was == "bf16" else _to_bfloat16(b, x)
    if was in ("i8", "u8"):
        wide = b.convert("zext" if was == "u8" else "sext", x, "i32")
        return _cast(b, wide, now)
    if now in ("i8", "u8"):
        return b.convert("trunc", _saturate(b, x, now) if was in FLOAT_ELEMENTS else _cast(b, x, "i32"), now)
    if was in FLOAT_ELEMENTS and now in FLOAT_ELEMENTS:
        return b.convert("fpext" if now == "f64" else "fptrunc", x, now)
    if "i64" in (was, now) and {was, now} & set(FLOAT_ELEMENTS) and "wide conversion" in b.absent:
        return wide_of_float(b, x) if now == "i64" else float_of_wide(b, x, now)
    if now in FLOAT_ELEMENTS:
        return b.convert("sitofp", x, now)
    if was in FLOAT_ELEMENTS:  # saturate, because LLVM's conversion is undefined out of range
        overload = f"{overload_suffix(now, x.lanes)}.{overload_suffix(was, x.lanes)}"
        return b.intrinsic("fptosi.sat", (now, x.lanes), x, overload=overload)
    return b.convert("sext" if now == "i64" else "trunc", x, now)


def _saturate(b: Instructions, x: Handle, element: str) -> Handle:
    """Write a saturating conversion of a float to a narrow integer type. NaN becomes the maximum.

    LLVM's saturating conversion to such types would be compiled lane by lane.
    """
    low, high = narrow.LIMITS["uint8" if element == "u8" else "int8"]
    minimum, maximum = b.constant(low, x), b.constant(high, x)
    below = b.select(b.compare("olt", x, maximum), x, maximum)
    return b.convert("fptosi", b.select(b.compare("ogt", below, minimum), below, minimum), "i32")


def _to_bfloat16(b: Instructions, x: Handle) -> Handle:
    """Write code that rounds a float to bfloat16, in any mode for denormal numbers. Return the bits.

    Finite numbers saturate, and infinities remain. A NaN keeps its upper bits, and becomes quiet.
    """
    bits = b.bits(x)
    odd = b.and_(b.lshr(bits, 16), b.constant(1, bits))
    nearest = b.iadd(bits, b.iadd(odd, b.constant(0x7FFF, bits)))
    is_infinite = b.compare("eq", b.and_(b.lshr(nearest, 16), b.constant(0x7FFF, bits)), b.constant(0x7F80, bits))
    nearest = b.select(is_infinite, bits, nearest)  # truncate infinity, and round all other numbers
    quiet = b.or_(bits, b.constant(0x400000, bits))
    kept = b.select(b.compare("uno", x, x), quiet, nearest)
    return b.convert("trunc", b.lshr(kept, 16), "bf16")


# The generator of ``ir.numbers.random``, instruction for instruction --------------------------------------


def _rotate(b: Instructions, x: Handle, count: int) -> Handle:
    """Rotate the bits of 32-bit words to the left."""
    return b.intrinsic("fshl", x, x, x, b.constant(count, x))


def _threefry(
    b: Instructions, key: tuple[Handle, Handle], x: tuple[Handle, Handle], rounds: int
) -> tuple[Handle, Handle]:
    """Write ``rounds`` rounds of the generator Threefry-2x32 for ``key`` and the counter ``x``. Return two words."""
    parity = b.xor(
        b.xor(key[0], key[1]),
        b.constant(random.PARITY - (1 << 32) if random.PARITY >> 31 else random.PARITY, key[0]),
    )
    keys = (key[0], key[1], parity)
    x0, x1 = b.iadd(x[0], keys[0]), b.iadd(x[1], keys[1])
    for number in range(rounds):
        x0 = b.iadd(x0, x1)
        if number % 2:  # otherwise LLVM follows all paths through six instructions to find bits that are known
            x0 = b.frozen(x0)
        x1 = b.xor(_rotate(b, x1, random.ROTATIONS[number % 8]), x0)
        if number % 4 == 3:
            injection = number // 4 + 1
            x0 = b.iadd(x0, keys[injection % 3])
            x1 = b.iadd(b.iadd(x1, keys[(injection + 1) % 3]), b.constant(injection, x1))
    return x0, x1


def _words(b: Instructions, x: Handle) -> tuple[Handle, Handle]:
    """Return the lower and the upper 32 bits of 64-bit integers."""
    return b.convert("trunc", x, "i32"), b.convert("trunc", b.lshr(x, 32), "i32")


def random_key(b: Instructions, x: Sequence[Handle]) -> Handle:
    """Write code for the 64-bit key of random numbers from (seed, step, row, word of the op). Return the key.

    A loop hashes twice: the op and the step with the seed as the key, and then the row with the result as the key.
    """
    seed, step, row, site_word = x
    step_word, row_word = (b.convert("trunc", item, "i32") for item in (step, row))

    def hashed(values: Sequence[Handle]) -> tuple[list[Handle], Handle]:
        low, high, first, second, is_first = values
        key = _threefry(b, (low, high), (first, second), random.KEY_ROUNDS)
        return [*key, row_word, b.constant(0, row_word), Handle("false", "i1", 1)], is_first

    start = [*_words(b, seed), site_word, step_word, Handle("true", "i1", 1)]
    low, high, *_ = b.repeat(start, hashed)
    upper = b.shl(b.convert("zext", high, "i64"), 32)
    return b.or_(b.convert("zext", low, "i64"), upper)


def random_uniform(b: Instructions, key: Handle, unit: Handle) -> Handle:
    """Return the uniform random float in [0, 1) for a key and the index of a unit."""
    unit_word = b.convert("trunc", unit, "i32")
    word, _ = _threefry(b, _words(b, key), (unit_word, b.constant(0, unit_word)), random.UNIT_ROUNDS)
    return b.mul(b.convert("uitofp", b.lshr(word, 8), "f32"), b.literal(2.0**-24, "f32", word.lanes))
