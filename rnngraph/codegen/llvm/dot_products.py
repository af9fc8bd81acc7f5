"""Step of a register tile: a multiply-add of floats, or a dot product of narrow values.

Each implementation has three functions: one prepares an activation, one prepares a vector of weights, and one adds
their product to a sum. A tile therefore prepares each operand only once. Products of bytes are exact, so that all
implementations have the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ...support.records import NamedTuple
from ..loop_ir.nodes import BlockScales
from ..machine.target import Target
from .instructions import Handle, Instructions, vector_type

Parts = tuple[Handle, ...]
"""Prepared operand, as one or several values."""
Add = Callable[[Instructions, Parts, Parts, Handle], Handle]

MIN_LANES = 4
"""Number of 32-bit lanes of the smallest vector. Fewer lanes use a part of that vector."""
SIGN = {4: "llvm.x86.ssse3.psign.b.128", 8: "llvm.x86.avx2.psign.b"}
MADDUBS = {4: "llvm.x86.ssse3.pmadd.ub.sw.128", 8: "llvm.x86.avx2.pmadd.ub.sw"}
MADDWD = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}
WASM = {4: "llvm.wasm.dot"}
"""Intrinsics, by the number of 32-bit lanes.

``SIGN`` applies signs to bytes, ``MADDUBS`` adds pairs of products of bytes, and the others pairs of 16-bit products.
"""


class DotInstructions(NamedTuple):
    """Instructions for one step of a product.

    Attributes:
        left: Function that prepares an activation, or a word of narrow activations, broadcast to all lanes.
        right: Function that prepares a vector of weights.
        add: Function (builder, left, right, sum) that returns the sum plus the products of the prepared operands.
    """

    left: Callable[[Instructions, Handle], Parts]
    right: Callable[[Instructions, Handle], Parts]
    add: Add


def dot_product(target: Target, dtype: str) -> DotInstructions:
    """Return functions that write products of narrow activations and weights in a target's best instructions.

    For ``bfloat16`` and ``uint8``, a step is a single instruction; for ``int8``, the target's fastest sequence.
    """
    return SIGNED[target.signed_dots] if dtype == "int8" else ACCUMULATED


def block_product(target: Target, scales: BlockScales) -> DotInstructions:
    """Return functions that write products of block-scaled weights and int8 activations for a target.

    Weights are unsigned if ``scales.zero`` is not 0, else signed.
    """
    if scales.zero and "int8" in target.dots:
        return WEIGHTS_FIRST
    if scales.bits == 4 and target.signed_dots == "maddubs":
        return FOUR_BITS
    return SIGNED[target.signed_dots or "plain"]


def _unprepared(b: Instructions, x: Handle) -> Parts:
    """Return an operand as it is, for products whose operands need no preparation."""
    return (x,)


def _multiply_add(b: Instructions, left: Parts, right: Parts, total: Handle) -> Handle:
    """Write a multiply-add of floats. Return ``left * right + total``."""
    return b.fma(left[0], right[0], total)


def _accumulate(b: Instructions, left: Parts, right: Parts, total: Handle) -> Handle:
    """Write a dot product of bfloat16 pairs, or of unsigned and signed bytes, by AVX-512 or VNNI. Return the total."""
    if total.lanes < MIN_LANES:
        return _in_a_vector(b, _accumulate, left, right, total)
    name, sides = f"llvm.x86.avx512.vpdpbusd.{32 * total.lanes}", [*left, *right]
    if total.element == "f32":
        name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * total.lanes}"
        sides = [_bitcast(b, x, "bfloat", 2 * total.lanes) for x in sides]
    return _call(b, name, total, total, *sides)


def _weights_first(b: Instructions, left: Parts, right: Parts, total: Handle) -> Handle:
    """Write a dot product of unsigned weights and signed activations by AVX-512 or VNNI. Return the new total."""
    return _accumulate(b, right, left, total)


def bfloat16_words(b: Instructions, one: Handle, other: Handle, interleaved: bool) -> Handle:
    """Write code that rounds two vectors to bfloat16. Return a vector of words, each with two bfloat16 values.

    Args:
        b: Writer of instructions.
        one: The first vector, of 16 floats.
        other: The second vector, of 16 floats.
        interleaved: True if each word has one value of each vector. False if the words of the first vector precede
            those of the second.
    """
    name = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
    joined = _call(b, name, Handle("", "bfloat", 32), other, one)
    if interleaved:
        halves = _bitcast(b, joined, "i16", 32)
        joined = b.shuffle(halves, halves, [lane // 2 + lane % 2 * 16 for lane in range(32)])
    return _bitcast(b, joined, "i32", 16)


def _sdot(b: Instructions, left: Parts, right: Parts, total: Handle) -> Handle:
    """Write a dot product of signed bytes by ARM's SDOT. Return the new total."""
    if total.lanes < MIN_LANES:
        return _in_a_vector(b, _sdot, left, right, total)
    sides = [_bitcast(b, x, "i8", 16) for x in (*left, *right)]
    return _call(b, "llvm.aarch64.neon.sdot.v4i32.v16i8", total, total, *sides)


def _in_a_vector(b: Instructions, add: Add, left: Parts, right: Parts, total: Handle) -> Handle:
    """Write ``add`` for fewer lanes than the smallest vector has, in lanes of such a vector. Return the new total."""
    words, weights, wide = (b.wider(item, MIN_LANES) for item in (*left, *right, total))
    return _first_lanes(b, add(b, (words,), (weights,), wide), total.lanes)


def _first_lanes(b: Instructions, x: Handle, lanes: int) -> Handle:
    """Return the first ``lanes`` lanes of a vector."""
    if lanes == x.lanes:
        return x
    return b.extract(x, 0) if lanes == 1 else b.shuffle(x, x, range(lanes))


def _call(b: Instructions, name: str, like: Handle, *arguments: Handle) -> Handle:
    """Write a call of an intrinsic of the target. Return its result, which has the type of ``like``."""
    b.intrinsics[name] = f"declare {like.type} @{name}({', '.join(item.type for item in arguments)})"
    typed_arguments = ", ".join(f"{item.type} {item.text}" for item in arguments)
    return b.emit(f"call {like.type} @{name}({typed_arguments})", like.element, like.lanes, "dot")


def _bitcast(b: Instructions, x: Handle, element: str, lanes: int) -> Handle:
    """Write a conversion that reinterprets the bits of ``x`` as ``lanes`` elements. Return the result."""
    return b.emit(f"bitcast {x.type} {x.text} to {vector_type(element, lanes)}", element, lanes)


# Signed bytes on processors without a dot product of bytes ---------------------------------


def _bytes(b: Instructions, x: Handle) -> Parts:
    """Return words as a vector of bytes, at least as long as the smallest vector."""
    x = x if x.lanes >= MIN_LANES else b.wider(x, MIN_LANES)
    return (_bitcast(b, x, "i8", 4 * x.lanes),)


def _magnitudes(b: Instructions, x: Handle) -> Parts:
    """Return the magnitudes of weights as unsigned bytes, and the signed weights. Their signs go to activations."""
    (weights,) = _bytes(b, x)
    return b.intrinsic("abs", weights, weights, Handle("false", "i1", 1)), weights


def _byte_pairs(b: Instructions, left: Parts, right: Parts, total: Handle) -> Handle:
    """Write the dot product of signed bytes for SSSE3 or AVX2, which add pairs of products of bytes in 16 bits.

    The sum of two products of magnitude 127 * 127 fits. A weight of -128 could overflow, but quantization to
    -127..127 never produces it.
    """
    (words,), (magnitudes, weights) = left, right
    lanes = words.lanes // 4
    signed = _call(b, SIGN[lanes], words, words, weights)
    return _unsigned_by_signed(b, magnitudes, signed, total)


def _small_byte_pairs(b: Instructions, left: Parts, right: Parts, total: Handle) -> Handle:
    """Write the dot product of bytes for SSSE3 or AVX2, for 4-bit weights and signed activations.

    Weights from 0 to 15 can be the unsigned operand directly, without the separate magnitudes of ``_byte_pairs``.
    """
    return _unsigned_by_signed(b, right[0], left[0], total)


def _unsigned_by_signed(b: Instructions, unsigned: Handle, signed: Handle, total: Handle) -> Handle:
    """Return the total plus the sums of four products of unsigned and signed bytes per lane."""
    lanes = signed.lanes // 4
    pairs = _call(b, MADDUBS[lanes], Handle("", "i16", 2 * lanes), unsigned, signed)
    sums = _call(b, MADDWD[lanes], Handle("", "i32", lanes), pairs, b.constant(1, pairs))
    return b.iadd(total, _first_lanes(b, sums, total.lanes))


def _even_and_odd(b: Instructions, x: Handle) -> Parts:
    """Return bytes 0 and 2 of each word, and bytes 1 and 3, each byte sign-extended to 16 bits."""
    x = x if x.lanes >= MIN_LANES else b.wider(x, MIN_LANES)
    halves = _bitcast(b, x, "i16", 2 * x.lanes)
    return b.ashr(b.shl(halves, 8), 8), b.ashr(halves, 8)


def _half_pairs(b: Instructions, left: Parts, right: Parts, total: Handle, names: Mapping[int, str] = MADDWD) -> Handle:
    """Write the dot product for SSE2, AVX-512BW or WebAssembly, which add pairs of 16-bit products in 32 bits."""
    for x, y in zip(left, right, strict=True):
        sums = _call(b, names[x.lanes // 2], Handle("", "i32", x.lanes // 2), x, y)
        total = b.iadd(total, _first_lanes(b, sums, total.lanes))
    return total


def _even_and_odd_of_a_word(b: Instructions, x: Handle) -> Parts:
    """Return bytes 0 and 2 of a word, and bytes 1 and 3, each sign-extended to 16 bits by instructions of Cortex-M."""
    odd = b.intrinsic("fshr", x, x, x, b.constant(8, x))
    return _call(b, "llvm.arm.sxtb16", x, x), _call(b, "llvm.arm.sxtb16", odd, odd)


def _word_pairs(b: Instructions, left: Parts, right: Parts, total: Handle) -> Handle:
    """Write dot products of pairs of 16-bit integers by SMLAD of Cortex-M. Return the new total."""
    for x, y in zip(left, right, strict=True):
        total = _call(b, "llvm.arm.smlad", total, x, y, total)
    return total


def _each_byte(b: Instructions, x: Handle) -> Parts:
    """Return the four bytes of each word, each sign-extended to 32 bits."""
    return tuple(b.ashr(b.shl(x, 24 - 8 * number), 24) for number in range(4))


def _one_by_one(b: Instructions, left: Parts, right: Parts, total: Handle) -> Handle:
    """Write a dot product of bytes as one 32-bit product and addition each. Return the new total."""
    for x, y in zip(left, right, strict=True):
        total = b.iadd(total, b.imul(x, y))
    return total


MULTIPLY_ADD = DotInstructions(_unprepared, _unprepared, _multiply_add)
ACCUMULATED = DotInstructions(_unprepared, _unprepared, _accumulate)
WEIGHTS_FIRST = DotInstructions(_unprepared, _unprepared, _weights_first)
FOUR_BITS = DotInstructions(_bytes, _bytes, _small_byte_pairs)
SIGNED = {
    "sdot": DotInstructions(_unprepared, _unprepared, _sdot),
    "maddubs": DotInstructions(_bytes, _magnitudes, _byte_pairs),
    "maddwd": DotInstructions(_even_and_odd, _even_and_odd, _half_pairs),
    "i32x4.dot": DotInstructions(_even_and_odd, _even_and_odd, partial(_half_pairs, names=WASM)),
    "smlad": DotInstructions(_even_and_odd_of_a_word, _even_and_odd_of_a_word, _word_pairs),
    "plain": DotInstructions(_each_byte, _each_byte, _one_by_one),
}
"""Implementations of dot products of signed bytes, by ``Target.signed_dots``. ``plain`` runs on all processors."""


def widened(b: Instructions, weights: Handle) -> Handle:
    """Write a conversion of int8 or bfloat16 weights to float32. Return them; other weights unchanged."""
    if weights.element == "i8":
        return b.convert("sitofp", weights, "f32")
    if weights.element == "bf16":
        return b.from_bits(b.shl(b.convert("zext", weights, "i32"), 16))
    return weights


def float_of_each_pair(b: Instructions, words: Handle, upper: int) -> Handle:
    """Convert the lower (``upper`` = 0) or the upper bfloat16 of each word to float32."""
    return b.from_bits(b.and_(words, b.constant(0xFFFF0000, words)) if upper else b.shl(words, 16))


def four_bits_of_each_byte(b: Instructions, weights: Handle, upper: int) -> Handle:
    """Unpack 4-bit weights: return the lower (``upper`` = 0) or the upper 4 bits of each byte."""
    return b.and_(b.lshr(weights, 4) if upper else weights, b.constant(0x0F0F0F0F, weights))
