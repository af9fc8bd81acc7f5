"""What dropout and other random numbers are made of, as nodes: the seed, steps and rows, masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir.graph import Node, make, topological
from ...ir.types import Dim, TensorType, product
from .sized_nodes import SizedNodes


class RandomNodes:
    """Makes what draws. ``masks``: of each site the mask that it drops by. ``keep_probs``: inputs that dropout reads.

    ``inputs``: what the caller gives beside the placeholders, once something needs it.
    """

    def __init__(self, nodes: SizedNodes) -> None:
        self.make = nodes.make
        self.inputs: dict[str, Node] = {}
        self.masks: dict[str, Node] = {}
        self.keep_probs: set[str] = set()

    @property
    def seed(self) -> Node:
        return self._input("seed")

    def draw(
        self, node: Node, operands: Sequence[Node], shape: Sequence[Dim], site: str, seed: Node, step: Node, row: Node
    ) -> Node:
        """A node that draws, at its site: numbers in ``shape``, then in the shape of what they are drawn for."""
        x, salt, where = operands[0], node["salt"], node.where
        if node.op == "dropout":
            flat = x if x.shape == tuple(shape) else self.make("reshape", x, shape=tuple(shape))
            drawn = self.make("dropout", flat, operands[1], seed, step, row, where=where, site=site, salt=salt)
        else:
            key = self.make("random_key", seed, step, row, where=where, site=site, salt=salt)
            drawn = self.make("random_uniform", key, self.make("iota", size=shape[-1]), where=where)
            drawn = drawn if x.dtype == drawn.dtype else self.make("cast", drawn, dtype=x.dtype)
        return drawn if drawn.shape == x.shape else self.make("reshape", drawn, shape=x.shape)

    def kept(self, site: str, salt: int, keep: Node, step: Node, row: Node, shape: Sequence[Dim]) -> Node:
        """The mask of a site, in float32. Notes the input that keep_prob is, if it is one."""
        source = keep.operands[0] if keep.op == "cast" else keep
        if source.op == "input":
            self.keep_probs.add(str(source["label"]))
        key = self.make("random_key", self.seed, step, row, site=site, salt=salt)
        uniform = self.make("random_uniform", key, self.make("iota", size=shape[-1]))
        kept = self.make("less", uniform, converted(keep, uniform.dtype))
        return self.make("broadcast", self.make("cast", kept, dtype="float32"), shape=tuple(shape))

    def constant(self, value: int) -> Node:
        return self.make("constant", value=np.asarray(value, np.int64))

    def rows(self, count: Dim, x: Node | None = None) -> Node:
        """Numbers of rows [count, 1]. x: what they are of; parameters' are the same in any part of a call."""
        index = self.make("reshape", self.make("iota", size=count), shape=(count, 1))
        if x is not None and not any(node.op == "input" for node in topological([x])):
            return index
        return self.make("add", index, self._input("first_row"))

    def steps(self, time: Dim) -> Node:
        return self.make("add", self.make("iota", size=time), self._input("first_step"))

    def _input(self, label: str) -> Node:
        """seed, first_row or first_step."""
        if label not in self.inputs:
            self.inputs[label] = self.make("input", label=label, name=label, type=TensorType("int64", ()))
        return self.inputs[label]


def converted(keep: Node, dtype: str) -> Node:
    """A keep_prob in another dtype, a number still a number."""
    if keep.dtype == dtype:
        return keep
    if keep.op == "constant":
        return make("constant", value=np.asarray(keep["value"], dtype))
    return make("cast", keep, dtype=dtype)


def units_of(x: Node, first: int) -> Dim:
    """What the axes from ``first`` on hold together."""
    return product(x.shape[first:])
