"""Products with weights of 8 or 4 bits, which have one scale for each block of 32 rows of a column.

The formats are GGUF's Q8_0 and Q4_0. With ``int8_blocks``, a block becomes integers in -127..127 times a scale, which
is the block's largest magnitude over 127. With ``int4``, a block becomes integers in -8..7 times a scale, chosen so
that the weight of largest magnitude becomes -8. Scales are float16, in units of a power of two that a column shares,
so that scales of small weights keep their precision. Scales that are float16 already keep their values.
Bytes store the integers plus ``zero``, so that most processors can multiply them as unsigned bytes.

Each block of 32 numbers of a row of activations becomes integers in -127..127 times its own scale, so that rows are
independent. ``block_matmul`` sums the products of a block exactly, scales the sum, and adds the blocks in order. Zeros
pad the depth to a multiple of 32. Weights that are stored in blocks keep their integers and scales.

A block that contains NaN or an infinity results in NaN only.
"""

from __future__ import annotations

from ...ir.graph import Node
from ...ir.types import HALF
from ...support.records import dataclass
from .narrow_products import SMALLEST, Builder, Narrowing
from .stored_blocks import BLOCK, StoredBlocks, blocks_of

BITS = {"int8_blocks": 8, "int4": 4}
"""Bits of a weight, by kind."""
LARGEST = 65504.0
"""Largest finite float16."""
ONE_DIGIT = 2.0**23 + 1
"""Factor that rounds a float32 to one binary digit, as x * factor - (x * factor - x)."""


@dataclass(eq=False)
class Blocks(Narrowing):
    """Quantization of weights in blocks to 8 or 4 bits, and of activations in blocks to 8 bits.

    Attributes:
        form: ``int8_blocks`` or ``int4``.
        unsigned: True if 8-bit weights are stored as unsigned bytes, as the target's dot product requires.
    """

    form: str
    unsigned: bool

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def zero(self) -> int:
        """Integer that stores a weight of 0."""
        return 8 if self.form == "int4" else 128 if self.unsigned else 0

    def weight(self, build: Builder, weight: Node) -> tuple[Node, ...]:
        depth, columns = (int(str(dim)) for dim in weight.shape)
        blocks = -(-depth // BLOCK)
        stored = blocks_of(weight)
        if stored is not None and stored.bits <= BITS[self.form]:
            return self._as_stored(build, stored, depth, columns)
        if depth % BLOCK:
            zeros = build("broadcast", 0.0, shape=(blocks * BLOCK - depth, columns))
            weight = build("concat", weight, zeros, axis=0)
        parts = build("reshape", weight, shape=(blocks, BLOCK, columns))
        numbers, scale = (self._in_four_bits if self.form == "int4" else self._in_eight_bits)(build, parts)
        narrow = build.narrow(numbers, "uint8" if self.zero else "int8", "narrow")
        scales = build("reshape", scale, shape=(blocks, columns))
        return build("reshape", narrow, shape=(blocks * BLOCK, columns)), *_in_halves(build, scales)

    def _as_stored(self, build: Builder, stored: StoredBlocks, depth: int, columns: int) -> tuple[Node, Node, Node]:
        """Return a weight, stored in blocks of rows, as 8-bit integers, float16 block scales and a unit per column."""
        scales = build("reshape", stored.scales, shape=(depth // BLOCK, columns))
        numbers, dtype = stored.numbers, "uint8" if self.zero else "int8"
        if numbers.dtype != dtype:
            wide = numbers if numbers.dtype == "float32" else build.wide(numbers)
            shift = float(self.zero - stored.offset)
            numbers = build.narrow(build("add", wide, shift) if shift else wide, dtype, "narrow")
        return build("reshape", numbers, shape=(depth, columns)), *_in_halves(build, scales)

    def _in_eight_bits(self, build: Builder, parts: Node) -> tuple[Node, Node]:
        """Return a weight's blocks as 8-bit integers, and the scale of each block."""
        numbers, scale = _in_bytes(build, parts, 1)
        return build("add", numbers, float(self.zero)) if self.zero else numbers, scale

    def _in_four_bits(self, build: Builder, parts: Node) -> tuple[Node, Node]:
        """Return blocks as floats that truncate to 0..15, and signed scales. The weight farthest from 0 becomes 0."""
        largest = build("reduce_max", parts, axes=(1,), keepdims=True)
        least = build("reduce_min", parts, axes=(1,), keepdims=True)
        farthest = build("select", build("less", largest, build("neg", least)), least, largest)
        magnitude = build("abs", farthest)
        finite = build("less", magnitude, float("inf"))
        divisor = build("select", build("less", magnitude, SMALLEST), SMALLEST, farthest)
        steps = build("fma", parts, build("div", -8.0, divisor), 8.5)
        # the cast truncates; 8.5 instead of 8 makes that rounding to nearest
        numbers = build("select", finite, build("minimum", steps, 15.0), 8.0)
        return numbers, build("select", finite, build("mul", farthest, -1 / 8), float("nan"))

    def row(self, build: Builder, x: Node) -> tuple[Node, ...]:
        leading, depth = x.shape[:-1], int(str(x.shape[-1]))
        blocks = -(-depth // BLOCK)
        if depth % BLOCK:
            zeros = build("broadcast", 0.0, shape=(*leading, blocks * BLOCK - depth))
            x = build("concat", x, zeros, axis=x.tensor.rank - 1)
        parts = build("reshape", x, shape=(*leading, blocks, BLOCK))
        axis = parts.tensor.rank - 1
        numbers, scale = _in_bytes(build, parts, axis)
        narrow = build("reshape", build.narrow(numbers, "int8", "narrow"), shape=(*leading, blocks * BLOCK))
        whole = build("cast", numbers, dtype="int32")
        sums = build("reduce_sum", whole, axes=(axis,), keepdims=False, name="sums")
        return narrow, build("reshape", scale, shape=(*leading, blocks), name="scales"), sums

    def combined(
        self, build: Builder, row: tuple[Node, ...], weight: list[Node], start: Node | None, name: str
    ) -> Node:
        (left, left_scales, sums), (right, right_scales, unit) = row, weight
        attributes = {"block": BLOCK, "zero": self.zero, "bits": BITS[self.form]}
        total = build("block_matmul", left, right, left_scales, right_scales, sums, name=name, **attributes)
        return build.scaled(total, unit, start, name)


def _in_bytes(build: Builder, parts: Node, axis: int) -> tuple[Node, Node]:
    """Quantize blocks along an axis: return integers in -127..127 and scales, which are NaN for non-finite blocks."""
    largest, finite = build.magnitude(parts, axis, keepdims=True)
    numbers = build("select", finite, build("round", build("mul", parts, build("div", 127.0, largest))), 0.0)
    return numbers, build("select", finite, build("mul", largest, 1 / 127), float("nan"))


def _in_halves(build: Builder, scales: Node) -> tuple[Node, Node]:
    """Return scales divided by a unit, as float16, and the unit, which is a power of two for each column.

    After the division, the largest scale of a column is between 2**13 and 2**15. If that would need a unit above 1, but
    all scales fit in float16, the unit is 1, so that scales that are float16 keep their values.
    """
    magnitude = build("abs", scales)
    finite = build("select", build("less", magnitude, float("inf")), magnitude, 0.0)
    largest = build("maximum", build("reduce_max", finite, axes=(0,), keepdims=False), SMALLEST)
    small = build("mul", largest, 2.0**-24)  # so that the next product does not overflow
    product = build("mul", small, ONE_DIGIT)
    rounded = build("sub", product, build("sub", product, small))  # one binary digit, that is a power of two
    unit = build("mul", rounded, 2.0**10)
    unit = build("select", build("less", LARGEST, largest), unit, build("minimum", unit, 1.0), name="unit")
    return build.narrow(build("mul", scales, build("div", 1.0, unit)), HALF, "scales"), unit
