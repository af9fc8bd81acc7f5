"""How products of narrow numbers are written out: what ``reduced_weights`` puts in the place of a product.

``bfloat16``: weights are rounded to 8 bits of precision. A row of activations x is rounded likewise to a high part,
and what that leaves to a low part: x @ W becomes high @ W + low @ W, so that 16 bits of x count.

``int8``: each column of W becomes whole numbers from -127 to 127 times a scale, the largest magnitude in the column
over 127. Each row of x becomes whole numbers q from -32767 to 32767 times a scale of its own, so that a row depends
on no other. q + 32768 is two bytes, high and low, and

    q @ W = 256 (high @ W - 128 sums of W's columns) + low @ W,

whose two products are exact in 32 bits: their values depend on no order of adding.

``int8`` with activations of 8 bits: a row of x becomes whole numbers q from -127 to 127. Its least and its largest
number, 0 among them, are 253 steps apart, and q is x / step + z, rounded, where z is a whole number and stands for 0.

    x @ W = step (q @ W - z sums of W's columns)

q is a byte with sign, or 128 more and one without. Weights that were quantized already, with one scale for all columns,
stay what they are.

A row or a column that holds NaN or an infinity gives NaN and infinities, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.build import column_slice, row_slice
from ...ir.graph import Node, make
from ...ir.types import Dim

SMALLEST = 1e-30
"""Magnitudes of a row or column that are all smaller are scaled as if one were this large: the reciprocal of a scale
is finite, also of zeros and of denormals."""

OFF = 1e-3
"""Of a step: how far from whole numbers those of a weight may be that was quantized with one scale, and widened."""

STEPS = 253
"""Of a row's range, in 8 bits: with so many z can be rounded, and all numbers are -127..127 without being limited."""


@dataclass(frozen=True)
class Weight:
    """Rows top..bottom and columns first..last of ``source``. What has the same rows is made narrow together."""

    source: Node
    top: Dim
    bottom: Dim
    first: Dim
    last: Dim

    @staticmethod
    def of(node: Node) -> Weight:
        if node.op != "slice" or node["step"] != (1, 1):
            return Weight(node, 0, node.shape[0], 0, node.shape[1])
        (top, first), (bottom, last) = node["start"], node["stop"]
        return Weight(node.operands[0], top, bottom, first, last)

    @property
    def key(self) -> tuple[Node, Dim, Dim]:
        return self.source, self.top, self.bottom

    def rows(self) -> Node:
        """All columns of the rows."""
        whole = self.top == 0 and self.bottom == self.source.shape[0]
        return self.source if whole else row_slice(self.source, self.top, self.bottom)

    def columns(self, made: Node, like: Node) -> Node:
        """This weight's columns of what was made of all columns: a matrix, or a number for each."""
        return column_slice(made, self.first, self.last, like)


class Builder:
    """Makes nodes that stand where the first product that they serve stands."""

    def __init__(self, like: Node) -> None:
        self.where = like.where

    def __call__(self, op: str, *operands: Node | float, name: str = "", **attributes: Any) -> Node:
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
        """The largest magnitude along an axis, ``SMALLEST`` at least, and whether it is finite."""
        largest = self("reduce_max", self("abs", x), axes=(axis,), keepdims=keepdims, name="largest")
        return self("maximum", largest, SMALLEST), self("less", largest, float("inf"))

    def whole_numbers(self, weight: Node, as_one: bool = False) -> tuple[Node, Node]:
        """A weight as numbers from -127 to 127, and the largest magnitude of each column, NaN if that is not finite.

        as_one: where all numbers of the weight are whole numbers of one step, columns count as if each had the largest
        magnitude of all: what was quantized with one scale stays what it is.
        """
        largest, finite = self.magnitude(weight, 0, keepdims=False)
        if as_one:
            whole = self("reduce_max", largest, axes=(0,), keepdims=True)
            steps = self("mul", weight, self("div", 127.0, whole))
            off = self("abs", self("sub", steps, self("round", steps)))
            bound = self("mul", self("minimum", self("abs", steps), 1.0), OFF)  # what is no 0 may not become one
            is_off = self("select", self("less", bound, off), 1.0, 0.0)
            farthest = self("reduce_max", is_off, axes=(0, 1), keepdims=False)
            whole = self("select", self("less", whole, float("inf")), whole, largest)  # else columns stand alone
            largest = self("select", self("less", farthest, 0.5), whole, largest)
        rounded = self("round", self("mul", weight, self("div", 127.0, largest)))
        return self("select", finite, rounded, 0.0), self("select", finite, largest, float("nan"))

    def narrow_weight(self, weight: Node, as_one: bool = False) -> tuple[Node, Node]:
        """``whole_numbers`` as bytes."""
        whole, largest = self.whole_numbers(weight, as_one)
        return self.narrow(whole, "int8", "narrow"), largest

    def sums(self, narrow: Node) -> Node:
        """The sums of the columns of a weight of bytes."""
        return self("reduce_sum", self("cast", narrow, dtype="int32"), axes=(0,), keepdims=False, name="sums")

    def steps(self, x: Node, offset: float) -> tuple[Node, Node, Node]:
        """Rows as whole numbers from ``offset`` - 127 to ``offset`` + 127; which of them stands for 0, and how large a
        step is. Where a row is not finite the step isn't either, and the numbers are any.
        """
        axes = {"axes": (x.tensor.rank - 1,), "keepdims": True}
        least = self("minimum", self("reduce_min", x, **axes, name="least"), 0.0)
        largest = self("maximum", self("reduce_max", x, **axes, name="largest"), 0.0)
        # One after the other, as their difference may be too large for a float.
        step = self("sub", self("mul", largest, 1 / STEPS), self("mul", least, 1 / STEPS))
        step = self("maximum", step, SMALLEST, name="step")
        inverse = self("div", 1.0, step)
        zero = self("round", self("sub", offset - STEPS / 2, self("mul", least, inverse)), name="zero")
        return self("round", self("fma", x, inverse, zero)), zero, step

    def scaled(self, total: Node, scale: Node, start: Node | None, name: str) -> Node:
        """``total`` times ``scale``, added to ``start``."""
        return self("fma", total, scale, start, name=name) if start else self("mul", total, scale, name=name)

    def scaled_twice(self, total: Node, first: Node, second: Node, start: Node | None, name: str) -> Node:
        """``total`` times two scales, added to ``start``.

        The smaller scale comes first: where that product is too large for a float, the result is, too.
        """
        smaller, larger = self("minimum", first, second), self("maximum", first, second)
        return self.scaled(self("mul", total, smaller), larger, start, name)


class Narrowing:
    """One way of writing out the products of one graph. What several of them share is made once."""

    def __init__(self) -> None:
        self._weights: dict[tuple[Node, Dim, Dim], tuple[Node, ...]] = {}
        self._rows: dict[Node, tuple[Node, ...]] = {}

    def product(self, left: Node, right: Node, start: Node | None, like: Node) -> Node:
        """``left @ right``, added to ``start``, in the place of the node ``like``."""
        build, weight = Builder(like), Weight.of(right)
        if weight.key not in self._weights:
            self._weights[weight.key] = self.weight(build, weight.rows())
        if left not in self._rows:
            self._rows[left] = self.row(build, left)
        columns = [weight.columns(made, like) for made in self._weights[weight.key]]
        return self.combined(build, self._rows[left], columns, start, like.name)

    def weight(self, build: Builder, weight: Node) -> tuple[Node, ...]:
        """The nodes that a weight becomes."""
        raise NotImplementedError

    def row(self, build: Builder, x: Node) -> tuple[Node, ...]:
        """The nodes that rows of activations become."""
        return (x,)

    def combined(
        self, build: Builder, row: tuple[Node, ...], weight: list[Node], start: Node | None, name: str
    ) -> Node:  # fmt: skip
        """The product of both."""
        return build("matmul", *row, *weight, *([start] if start else []), name=name)


@dataclass(eq=False)
class Widened(Narrowing):
    """Narrow weights that are widened as they are read; activations are float32, rounded if they are not ``split``."""

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
    ) -> Node:  # fmt: skip
        if self.form == "bfloat16":
            return super().combined(build, row, weight, start, name)
        (left, *steps), (narrow, scale) = row, weight
        total = build("matmul", left, narrow)
        if steps:
            return build.scaled_twice(total, scale, steps[0], start, name)
        return build.scaled(total, scale, start, name)


@dataclass(eq=False)
class BFloat16(Narrowing):
    """Weights and activations in bfloat16; activations in two parts if they are ``split``."""

    split: bool

    def __post_init__(self) -> None:
        super().__init__()

    def weight(self, build: Builder, weight: Node) -> tuple[Node, ...]:
        return (build.narrow(weight, "bfloat16", "narrow"),)

    def row(self, build: Builder, x: Node) -> tuple[Node, ...]:
        high = build.narrow(x, "bfloat16", "high")
        return (high, build.narrow(build("sub", x, build.wide(high)), "bfloat16", "low")) if self.split else (high,)

    def combined(
        self, build: Builder, row: tuple[Node, ...], weight: list[Node], start: Node | None, name: str
    ) -> Node:  # fmt: skip
        parts = [build("matmul", part, *weight) for part in row]
        total = build("add", *parts) if self.split else parts[0]
        return build("add", start, total, name=name) if start else total


class Int8(Narrowing):
    """Weights of 8 bits, activations as two bytes each."""

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
    ) -> Node:  # fmt: skip
        (high, low, largest), (narrow, sums, scale) = row, weight
        parts = [build.wide(build("matmul", high, narrow, sums)), build.wide(build("matmul", low, narrow))]
        return build.scaled_twice(build("fma", parts[0], 256.0, parts[1]), scale, largest, start, name)


@dataclass(eq=False)
class Bytes(Narrowing):
    """Weights and activations of 8 bits. dtype: of activations, ``uint8`` or ``int8``, as the target takes them."""

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
    ) -> Node:  # fmt: skip
        (left, zero, step), (narrow, sums, scale) = row, weight
        total = build.wide(build("matmul", left, narrow, build("mul", zero, sums)))
        return build.scaled_twice(total, scale, step, start, name)
