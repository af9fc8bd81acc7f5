"""Rewriting of products with narrow numbers, as selected by ``reduced_weights``.

``bfloat16``: weights are rounded to 8 bits of precision. Activations stay float32, and tiles widen weights as they read
them, or activations are rounded to bfloat16, too.

``int8``: each column of W becomes integers in -127..127 times a scale, the largest magnitude in the column over 127.
Each row of x becomes integers q in -32767..32767 times its own scale, so that rows are independent. q + 32768 is two
bytes, high and low, and

    q @ W = 256 (high @ W - 128 sums of W's columns) + low @ W,

whose two products are exact in 32 bits, so that the order of summation does not matter.

``int8`` with activations of 8 bits: a row of x becomes integers q = round(x / step + z) in -127..127, where the integer
z is the zero point. The step is the range of the row, extended to include 0, over 253.

    x @ W = step (q @ W - z sums of W's columns)

q is a signed byte, or an unsigned one with an offset of 128. Weights that were already quantized with one scale for all
columns keep their values.

A row or a column that contains NaN or an infinity results in NaN and infinities only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.build import column_slice, row_slice
from ...ir.graph import Node, make
from ...ir.types import Dim
from ...support.records import dataclass

SMALLEST = 1e-30
"""Minimum that is taken as a row's or column's largest magnitude, so that the reciprocal of the scale is finite."""

MAX_DISTANCE = 1e-3
"""Maximum distance from an integer, in steps, at which a weight counts as quantized with one scale."""

STEPS = 253
"""Number of steps in a row's range with 8 bits: the maximum for which rounding z needs no clamping to -127..127."""


@dataclass(frozen=True)
class Weight:
    """Slice of a matrix ``source`` that one product reads: rows ``top:bottom`` and columns ``first:last``.

    Slices with the same rows are quantized once, with all columns of the matrix.
    """

    source: Node
    top: Dim
    bottom: Dim
    first: Dim
    last: Dim

    @staticmethod
    def of(node: Node) -> Weight:
        """Describe a product's right operand: a slice with steps of 1 of a matrix, or a whole matrix."""
        if node.op != "slice" or node["step"] != (1, 1):
            return Weight(node, 0, node.shape[0], 0, node.shape[1])
        (top, first), (bottom, last) = node["start"], node["stop"]
        return Weight(node.operands[0], top, bottom, first, last)

    @property
    def key(self) -> tuple[Node, Dim, Dim]:
        """Key that slices of the same rows of a matrix share."""
        return self.source, self.top, self.bottom

    def rows(self) -> Node:
        """Return the slice's rows with all columns of the matrix."""
        whole = self.top == 0 and self.bottom == self.source.shape[0]
        return self.source if whole else row_slice(self.source, self.top, self.bottom)

    def columns(self, whole: Node, like: Node) -> Node:
        """Return the slice's columns of ``whole``, a matrix or vector with all columns of the matrix."""
        return column_slice(whole, self.first, self.last, like)


class Builder:
    """Builder of the nodes for narrow products. Their source line is that of the first product that reads them."""

    def __init__(self, like: Node) -> None:
        self.where = like.where

    def __call__(self, op: str, *operands: Node | float, name: str = "", **attributes: Any) -> Node:
        """Return a new node. Floats among the operands become constants."""
        dtype = next((item.dtype for item in operands if isinstance(item, Node) and item.dtype != "bool"), "float32")
        nodes = [
            item if isinstance(item, Node) else make("constant", value=np.asarray(item, dtype)) for item in operands
        ]
        return make(op, *nodes, where=self.where, name=name, **attributes)

    def narrow(self, x: Node, dtype: str, name: str = "") -> Node:
        return self("cast", x, dtype=dtype, name=name)

    def wide(self, x: Node) -> Node:
        return self("cast", x, dtype="float32")

    def magnitude(self, x: Node, axis: int, keepdims: bool) -> tuple[Node, Node]:
        """Return the largest magnitude along an axis, at least ``SMALLEST``, and a bool node: True if it is finite."""
        largest = self("reduce_max", self("abs", x), axes=(axis,), keepdims=keepdims, name="largest")
        return self("maximum", largest, SMALLEST), self("less", largest, float("inf"))

    def whole_numbers(self, weight: Node, as_one: bool = False) -> tuple[Node, Node]:
        """Return a weight as integers in -127..127, and the largest magnitude of each column.

        The magnitude is NaN if it is not finite.

        Args:
            as_one: If all values of the weight are multiples of one step, use one scale for all columns. A weight that
                was quantized with one scale then keeps its values.
        """
        largest, finite = self.magnitude(weight, 0, keepdims=False)
        if as_one:
            whole = self("reduce_max", largest, axes=(0,), keepdims=True)
            steps = self("mul", weight, self("div", 127.0, whole))
            distance = self("abs", self("sub", steps, self("round", steps)))
            # smaller for values near 0, so that a nonzero value does not become 0
            bound = self("mul", self("minimum", self("abs", steps), 1.0), MAX_DISTANCE)
            is_between = self("select", self("less", bound, distance), 1.0, 0.0)
            any_between = self("reduce_max", is_between, axes=(0, 1), keepdims=False)
            # If all values are multiples of one step, use one scale for all columns, else a scale for each column.
            whole = self("select", self("less", whole, float("inf")), whole, largest)
            largest = self("select", self("less", any_between, 0.5), whole, largest)
        rounded = self("round", self("mul", weight, self("div", 127.0, largest)))
        return self("select", finite, rounded, 0.0), self("select", finite, largest, float("nan"))

    def narrow_weight(self, weight: Node, as_one: bool = False) -> tuple[Node, Node]:
        """Return a weight as int8, and the largest magnitude of each column. ``as_one`` is as in ``whole_numbers``."""
        whole, largest = self.whole_numbers(weight, as_one)
        return self.narrow(whole, "int8", "narrow"), largest

    def sums(self, narrow: Node) -> Node:
        """Return the sum of each column of an int8 weight."""
        return self("reduce_sum", self("cast", narrow, dtype="int32"), axes=(0,), keepdims=False, name="sums")

    def steps(self, x: Node, offset: float) -> tuple[Node, Node, Node]:
        """Quantize rows to 8-bit integers around ``offset``. Return the integers, zero points and scales, as floats.

        Integers are in ``offset`` - 127 to ``offset`` + 127. If a row is not finite, its scale is not finite, and
        its integers are arbitrary.
        """
        axes = {"axes": (x.tensor.rank - 1,), "keepdims": True}
        minimum = self("minimum", self("reduce_min", x, **axes, name="least"), 0.0)
        largest = self("maximum", self("reduce_max", x, **axes, name="largest"), 0.0)
        # Scale before subtracting, because the difference may overflow.
        step = self("sub", self("mul", largest, 1 / STEPS), self("mul", minimum, 1 / STEPS))
        step = self("maximum", step, SMALLEST, name="step")
        inverse = self("div", 1.0, step)
        zero = self("round", self("sub", offset - STEPS / 2, self("mul", minimum, inverse)), name="zero")
        return self("round", self("fma", x, inverse, zero)), zero, step

    def scaled(self, total: Node, scale: Node, start: Node | None, name: str) -> Node:
        """Return ``total`` times ``scale``, plus ``start`` if there is one."""
        return self("fma", total, scale, start, name=name) if start else self("mul", total, scale, name=name)

    def scaled_twice(self, total: Node, first: Node, second: Node, start: Node | None, name: str) -> Node:
        """Return ``total`` times two scales, plus ``start`` if there is one.

        The smaller scale is applied first, so that the intermediate product overflows only if the result does.
        """
        smaller, larger = self("minimum", first, second), self("maximum", first, second)
        return self.scaled(self("mul", total, smaller), larger, start, name)


class Narrowing:
    """Base class for rewriting products with narrow weights. Weights and rows that products share are narrowed once."""

    def __init__(self) -> None:
        self._weights: dict[tuple[Node, Dim, Dim], tuple[Node, ...]] = {}
        self._rows: dict[Node, tuple[Node, ...]] = {}

    def product(self, left: Node, right: Node, start: Node | None, like: Node) -> Node:
        """Return ``left @ right``, plus ``start`` if there is one, as a replacement of ``like``."""
        build, weight = Builder(like), Weight.of(right)
        if weight.key not in self._weights:
            self._weights[weight.key] = self.weight(build, weight.rows())
        if left not in self._rows:
            self._rows[left] = self.row(build, left)
        columns = [weight.columns(value, like) for value in self._weights[weight.key]]
        return self.combined(build, self._rows[left], columns, start, like.name)

    def weight(self, build: Builder, weight: Node) -> tuple[Node, ...]:
        """Return a weight matrix as narrow numbers, followed by the column sums or scales that ``combined`` reads."""
        raise NotImplementedError

    def row(self, build: Builder, x: Node) -> tuple[Node, ...]:
        """Return activations as narrow numbers, followed by the scales or sums that ``combined`` reads."""
        return (x,)

    def combined(
        self, build: Builder, row: tuple[Node, ...], weight: list[Node], start: Node | None, name: str
    ) -> Node:
        """Return the product of what ``row`` and ``weight`` return, plus ``start`` if given."""
        return build("matmul", *row, *weight, *([start] if start else []), name=name)


@dataclass(eq=False)
class Widened(Narrowing):
    """Narrow weights that are widened as they are read.

    Attributes:
        form: ``bfloat16`` or ``int8``.
        split: False to round activations to ``form``, too; True to keep them float32.
    """

    form: str
    split: bool

    def __post_init__(self) -> None:
        super().__init__()

    def weight(self, build: Builder, weight: Node) -> tuple[Node, ...]:
        if self.form == "bfloat16":
            return (build.narrow(weight, "bfloat16", "narrow"),)
        narrow, largest = build.narrow_weight(weight, not self.split)
        return narrow, build("mul", largest, 1 / 127, name="scale")

    def row(self, build: Builder, x: Node) -> tuple[Node, ...]:
        if self.split:
            return (x,)
        if self.form == "bfloat16":
            return (build.wide(build.narrow(x, "bfloat16")),)
        whole, zero, step = build.steps(x, 0.0)
        return build("sub", whole, zero), step

    def combined(
        self, build: Builder, row: tuple[Node, ...], weight: list[Node], start: Node | None, name: str
    ) -> Node:
        if self.form == "bfloat16":
            return super().combined(build, row, weight, start, name)
        (left, *steps), (narrow, scale) = row, weight
        total = build("matmul", left, narrow)
        if steps:
            return build.scaled_twice(total, scale, steps[0], start, name)
        return build.scaled(total, scale, start, name)


class BFloat16(Narrowing):
    """Weights and activations in bfloat16."""

    def weight(self, build: Builder, weight: Node) -> tuple[Node, ...]:
        return (build.narrow(weight, "bfloat16", "narrow"),)

    def row(self, build: Builder, x: Node) -> tuple[Node, ...]:
        return (build.narrow(x, "bfloat16", "narrow"),)

    def combined(
        self, build: Builder, row: tuple[Node, ...], weight: list[Node], start: Node | None, name: str
    ) -> Node:
        total = build("matmul", *row, *weight)
        return build("add", start, total, name=name) if start else total


class Int8(Narrowing):
    """Weights of 8 bits, and activations of two bytes."""

    def weight(self, build: Builder, weight: Node) -> tuple[Node, ...]:
        narrow, largest = build.narrow_weight(weight)
        return narrow, build("mul", build.sums(narrow), -128), build("mul", largest, 1 / (127 * 32767), name="scale")

    def row(self, build: Builder, x: Node) -> tuple[Node, ...]:
        largest, finite = build.magnitude(x, x.tensor.rank - 1, keepdims=True)
        rounded = build("round", build("mul", x, build("div", 32767.0, largest)))
        whole = build("add", build("select", finite, rounded, 0.0), 32768.0)
        high = build.narrow(build("mul", whole, 1 / 256), "uint8", "high")
        low = build.narrow(build("sub", whole, build("mul", build.wide(high), 256.0)), "uint8", "low")
        return high, low, build("select", finite, largest, float("nan"))

    def combined(
        self, build: Builder, row: tuple[Node, ...], weight: list[Node], start: Node | None, name: str
    ) -> Node:
        (high, low, largest), (narrow, sums, scale) = row, weight
        parts = [build.wide(build("matmul", high, narrow, sums)), build.wide(build("matmul", low, narrow))]
        return build.scaled_twice(build("fma", parts[0], 256.0, parts[1]), scale, largest, start, name)


@dataclass(eq=False)
class Bytes(Narrowing):
    """Weights and activations of 8 bits.

    ``dtype`` is that of the activations: ``uint8`` or ``int8``, as the target requires.
    """

    dtype: str

    def __post_init__(self) -> None:
        super().__init__()

    def weight(self, build: Builder, weight: Node) -> tuple[Node, ...]:
        narrow, largest = build.narrow_weight(weight, as_one=True)
        return narrow, build.sums(narrow), build("mul", largest, 1 / 127, name="scale")

    def row(self, build: Builder, x: Node) -> tuple[Node, ...]:
        whole, zero, step = build.steps(x, 128.0 if self.dtype == "uint8" else 0.0)
        return build.narrow(whole, self.dtype, "narrow"), build("cast", build("neg", zero), dtype="int32"), step

    def combined(
        self, build: Builder, row: tuple[Node, ...], weight: list[Node], start: Node | None, name: str
    ) -> Node:
        (left, zero, step), (narrow, sums, scale) = row, weight
        total = build.wide(build("matmul", left, narrow, build("mul", zero, sums)))
        return build.scaled_twice(total, scale, step, start, name)
