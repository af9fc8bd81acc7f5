"""Checks of the axis columns in the table of ops, which declare how axes of operands and results are related.

Checks change operands, and compare the values that an op computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngraph.ir.axes.walk import fate, fates, is_alike, linear_in
from rnngraph.ir.axis_maps import Fate, Kept, Merged, Mixed, Reduced, Shifted, Spread
from rnngraph.ir.graph import Graph, Node, substitute_attribute
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.ops import OPS
from rnngraph.ir.types import evaluate
from rnngraph.passes.split import Split

Arrays = Sequence[np.ndarray]
Index = tuple[int, ...]


def _far_numbers(dtype: np.dtype) -> tuple[float, ...]:
    """Return the numbers that replace an entry; none for a bool, which is negated."""
    if dtype.kind == "f":
        return np.nan, 1e3, -1e3
    if dtype.kind == "b":
        return ()
    limits = np.iinfo(dtype)
    return min(1 << 20, limits.max), max(-(1 << 20), limits.min), 7


@dataclass
class Proof:
    """Node, values of the node's operands, and values of symbolic sizes. Methods check columns of the node's op."""

    node: Node
    arrays: Arrays
    sizes: Mapping[str, int]

    def value(self, arrays: Arrays | None = None) -> np.ndarray:
        """Return the node's value, in training if it differs there. ``arrays`` replaces the values of operands."""
        function, inputs = OPS[self.node.op].evaluate, self.arrays if arrays is None else arrays
        if function is None:
            feeds = {str(item["label"]): array for item, array in zip(self.node.operands, inputs, strict=True)}
            return interpret(Split(training=True)(Graph.of("g", [("value", self.node)])), feeds)["value"]
        attributes = {key: substitute_attribute(value, self.sizes) for key, value in self.node.attributes}
        return np.asarray(function(inputs, attributes))

    def replaced(self, number: int, array: np.ndarray) -> list[np.ndarray]:
        return [*self.arrays[:number], array, *self.arrays[number + 1 :]]

    # Which entries read which ---------------------------------------------------------------------

    def readers(self, number: int, index: Index) -> np.ndarray:
        """Return a mask of the result's entries that, according to the column, may read an entry of an operand."""
        shape = self.value().shape
        result = np.ones(shape, bool)
        for axis, place in enumerate(index):
            result &= self._lets(fate(self.node, number, axis), place, self.arrays[number].shape[axis], shape)
        return result

    def _lets(self, fate: Fate, place: int, size: int, shape: Index) -> np.ndarray:
        match fate:
            case Kept(axis):
                return _along(np.arange(shape[axis]) == place, axis, shape)
            case Merged(axes, _, inner):
                together = np.arange(np.prod([shape[axis] for axis in axes], dtype=int))
                reads = together // evaluate(inner, self.sizes) % size == place
                return _over(reads, axes, shape)
            case Shifted(axis, start, step, count, apart):
                first = evaluate(start, self.sizes) + step * np.arange(shape[axis])
                return _along(np.isin(place - first, apart * np.arange(count)), axis, shape)
        return np.ones(shape, bool)

    def changes(self, number: int, index: Index) -> np.ndarray:
        """Return a mask of the result's entries that change with an entry of an operand."""
        array, before = self.arrays[number], self.value()
        result = np.zeros(before.shape, bool)
        for other in _far_numbers(array.dtype) or (not array[index],):
            changed = array.copy()
            changed[index] = other
            result |= ~_same(before, self.value(self.replaced(number, changed)))
        return result

    # Rows in another order ------------------------------------------------------------------------

    def orderly(self) -> Iterator[int]:
        """Yield the result's axes along which each position reads the same position of operands, or all positions."""
        uses = [*fates(self.node)]
        by_place = OPS[self.node.op].axes.by_place(self.node)
        if any(isinstance(use.fate, Mixed) for use in uses):
            return
        for axis in range(self.node.tensor.rank):
            on_it = [use.fate for use in uses if axis in _axes(use.fate)]
            if axis not in by_place and all(isinstance(item, Kept | Spread) for item in on_it):
                yield axis

    def check_order(self, axis: int, rng: np.random.Generator) -> None:
        """Check that permuted rows of operands give equally permuted rows of the result."""
        before = self.value()
        order = rng.permutation(before.shape[axis])
        arrays = [*self.arrays]
        for use in fates(self.node):
            if use.fate == Kept(axis):
                arrays[use.number] = np.take(arrays[use.number], order, use.axis)
        np.testing.assert_allclose(self.value(arrays), np.take(before, order, axis), rtol=1e-5, atol=1e-5)

    def check_alike(self) -> None:
        """Check that all entries are equal along axes that the column declares constant."""
        value = self.value()
        for axis in range(self.node.tensor.rank):
            if is_alike(self.node, axis):
                np.testing.assert_array_equal(value, np.broadcast_to(np.take(value, [0], axis), value.shape))

    # Parts and sums ---------------------------------------------------------------------------------

    def reduced(self) -> dict[tuple[str, int], list[tuple[int, int]]]:
        """Return the (operand, axis) pairs that are reduced together, by (kind, number) of the reduction."""
        results: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for use in fates(self.node):
            if isinstance(use.fate, Reduced):
                results.setdefault((use.fate.by, use.fate.number), []).append((use.number, use.axis))
        return results

    def check_parts(self, by: str, axes: Sequence[tuple[int, int]]) -> None:
        """Check that the value is the sum, maximum or minimum of the values over two halves of the reduced axes."""
        values = []
        for part in range(2):
            arrays = [*self.arrays]
            for number, axis in axes:
                size = arrays[number].shape[axis]
                half = np.arange(size)[size // 2 :] if part else np.arange(size // 2)
                arrays[number] = np.take(arrays[number], half, axis)
            for number in set(range(len(arrays))) - {number for number, _ in axes}:
                if part:  # an operand that is not reduced counts in one half only
                    arrays[number] = np.zeros_like(arrays[number])
            values.append(self.value(arrays))
        join = np.add if by == "sum" else np.maximum if self.node.op == "reduce_max" else np.minimum
        np.testing.assert_allclose(join(*values), self.value(), rtol=1e-5, atol=1e-6)

    def is_linear(self, group: Sequence[int], rng: np.random.Generator) -> bool:
        """True if the op is additive and homogeneous in the operands of ``group``."""
        other = [numbers(str(item.dtype), item.shape, rng) for item in self.arrays]
        one, two, both, thrice = ([*self.arrays] for _ in range(4))
        for number in group:
            two[number], both[number] = other[number], self.arrays[number] + other[number]
            thrice[number] = -3 * self.arrays[number]
        with np.errstate(all="ignore"):
            pairs = ((self.value(both), self.value(one) + self.value(two)), (self.value(thrice), -3 * self.value(one)))
        return all(np.allclose(here, there, rtol=1e-4, atol=1e-5) for here, there in pairs)

    @property
    def linear(self) -> list[list[int]]:
        return [sorted(group) for group in linear_in(self.node)]


def _axes(fate: Fate) -> tuple[int, ...]:
    return getattr(fate, "axes", None) or ((fate.axis,) if hasattr(fate, "axis") else ())


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    if one.dtype.kind == "f":
        return (one == other) | (np.isnan(one) & np.isnan(other))
    return np.asarray(one == other)


def _along(flags: np.ndarray, axis: int, shape: Index) -> np.ndarray:
    return np.broadcast_to(flags.reshape([-1 if place == axis else 1 for place in range(len(shape))]), shape)


def _over(flags: np.ndarray, axes: Sequence[int], shape: Index) -> np.ndarray:
    """Return flags of some axes, broadcast to a shape."""
    return np.broadcast_to(flags.reshape([dim if place in axes else 1 for place, dim in enumerate(shape)]), shape)


def numbers(dtype: str, shape: Index, rng: np.random.Generator) -> Any:
    """Return operands: floats of both signs, small integers, or bools."""
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype == "uint8":
        return np.asarray(rng.integers(0, 9, shape), dtype)
    if dtype.startswith("int"):
        return np.asarray(rng.integers(-4, 5, shape), dtype)
    if dtype == "float16":  # with few digits, so that sums are exact
        return np.asarray(rng.integers(-64, 65, shape) / 16, dtype)
    return np.asarray(rng.normal(size=shape), dtype)
