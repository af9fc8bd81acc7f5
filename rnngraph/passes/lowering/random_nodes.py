"""Random numbers as nodes: the seed, counters of steps and rows, and dropout masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir.graph import Node, make, topological
from ...ir.types import Dim, TensorType, product
from ...support.errors import Where
from .lowered import NUMBER
from .sized_nodes import SizedNodes


class RandomNodes:
    """Builder of random ops, and of the inputs that their counters need.

    Attributes:
        masks: Mask of each dropout site.
        keep_probs: Labels of the inputs that dropout reads as keep probabilities.
        inputs: Inputs ``seed``, ``first_row`` and ``first_step``, as far as random ops read them.
        number: Input with the number of each row's stream; None if nothing samples.
    """

    def __init__(self, nodes: SizedNodes) -> None:
        self.make = nodes.make
        self.inputs: dict[str, Node] = {}
        self.masks: dict[str, Node] = {}
        self.keep_probs: set[str] = set()
        self.number: Node | None = None

    @property
    def seed(self) -> Node:
        return self._input("seed")

    def draw(
        self, node: Node, operands: Sequence[Node], shape: Sequence[Dim], site: str, seed: Node, step: Node, row: Node
    ) -> Node:
        """Return a dropout of the first operand, or noise in its shape, with random numbers drawn in ``shape``.

        Args:
            node: ``dropout`` or ``noise`` of the declaration.
            operands: Lowered operands of ``node``.
            shape: Shape of the random numbers, with units last.
            site: Unique name of the op's site in the declaration.
            seed, step, row: Counters from which the random numbers are computed.
        """
        x, salt, where = operands[0], node["salt"], node.where
        if node.op == "dropout":
            flat = x if x.shape == tuple(shape) else self.make("reshape", x, shape=tuple(shape))
            drawn = self.make("dropout", flat, operands[1], seed, step, row, where=where, site=site, salt=salt)
        else:
            key = self.make("random_key", seed, step, row, where=where, site=site, salt=salt)
            drawn = self.make("random_uniform", key, self.make("iota", size=shape[-1]), where=where)
            drawn = drawn if x.dtype == drawn.dtype else self.make("cast", drawn, dtype=x.dtype)
        return drawn if drawn.shape == x.shape else self.make("reshape", drawn, shape=x.shape)

    def sampled(
        self, x: Node, shape: Sequence[Dim], site: str, salt: int, step: Node, number: Node, where: Where | None
    ) -> Node:
        """Return uniform random numbers in the shape of ``x``. Stream number, step, unit and site determine them."""
        key = self.make("sample_key", number, step, where=where, site=site, salt=salt)
        drawn = self.make("sample_uniform", key, self.make("iota", size=shape[-1]), where=where)
        drawn = drawn if drawn.shape == tuple(shape) else self.make("broadcast", drawn, shape=tuple(shape))
        return drawn if drawn.shape == x.shape else self.make("reshape", drawn, shape=x.shape)

    def numbers(self, rows: Dim) -> Node:
        """Return the input with the number of each row's stream, [rows]. Later calls return it whatever ``rows`` is."""
        if self.number is None:
            kind = TensorType("int64", (rows,))
            self.number = self.make("input", label=NUMBER, name=NUMBER, type=kind)
        return self.number

    def dropout_mask(self, site: str, salt: int, keep: Node, step: Node, row: Node, shape: Sequence[Dim]) -> Node:
        """Return the float32 dropout mask of a site. If the keep probability is an input, record its label."""
        source = keep.operands[0] if keep.op == "cast" else keep
        if source.op == "input":
            self.keep_probs.add(str(source["label"]))
        key = self.make("random_key", self.seed, step, row, site=site, salt=salt)
        uniform = self.make("random_uniform", key, self.make("iota", size=shape[-1]))
        kept = self.make("less", uniform, converted(keep, uniform.dtype))
        return self.make("broadcast", self.make("cast", kept, dtype="float32"), shape=tuple(shape))

    def constant(self, value: int) -> Node:
        """Return an int64 scalar."""
        return self.make("constant", value=np.asarray(value, np.int64))

    def rows(self, count: Dim, x: Node | None = None) -> Node:
        """Return the indices of rows [count, 1], which start at the input ``first_row``.

        If a value ``x`` depends on no input, its indices start at 0, so that all parts of a split call draw the same
        numbers.
        """
        index = self.make("reshape", self.make("iota", size=count), shape=(count, 1))
        if x is not None and not any(node.op == "input" for node in topological([x])):
            return index
        return self.make("add", index, self._input("first_row"))

    def steps(self, time: Dim) -> Node:
        """Return the indices of steps [time], which start at the input ``first_step``."""
        return self.make("add", self.make("iota", size=time), self._input("first_step"))

    def _input(self, label: str) -> Node:
        """Return the int64 input ``seed``, ``first_row`` or ``first_step``."""
        if label not in self.inputs:
            self.inputs[label] = self.make("input", label=label, name=label, type=TensorType("int64", ()))
        return self.inputs[label]


def converted(keep: Node, dtype: str) -> Node:
    """Cast a keep probability. The cast of a constant is a constant."""
    if keep.dtype == dtype:
        return keep
    if keep.op == "constant":
        return make("constant", value=np.asarray(keep["value"], dtype))
    return make("cast", keep, dtype=dtype)


def units_of(x: Node, first: int) -> Dim:
    """Return the product of the sizes from axis ``first`` on."""
    return product(x.shape[first:])
