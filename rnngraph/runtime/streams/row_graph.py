"""A step's graph for any number of rows: whether one entry can serve all of them, and how a row's arrays look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...ir.types import TensorType, evaluate, substitute
from ..calls.prepared_call import without
from ..native.compiled_graph import CompiledGraph
from ..native.entry import NativeEntry
from ..native.optimized_graph import ordered_sizes, tiled_sizes
from ..native.worker_pool import ThreadCount
from .independent_rows import row_axis, rows_are_independent

ROWS_AT_A_TIME = 64
"""Rows that an entry computes in one run: weights are read once for them, and temporaries stay in the second cache."""


@dataclass(frozen=True)
class RowPort:
    """An array of a step, as one row has it.

    axis: of rows, in an array of several; None: it has none. before, after: sizes of the axes before that one and
    behind it; all are behind where there is none.
    """

    name: str
    dtype: np.dtype
    axis: int | None
    before: tuple[int, ...]
    after: tuple[int, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row, without an axis of rows."""
        return (*self.before, *self.after)

    @property
    def pieces(self) -> int:
        """A row of an array of several rows lies in so many pieces."""
        return math.prod(self.before)

    @property
    def piece_bytes(self) -> int:
        return math.prod(self.after) * self.dtype.itemsize

    def rows(self, count: int) -> tuple[int, ...]:
        """The shape of an array of several rows; rows are the first axis where there is none."""
        return (*self.before, count, *self.after)

    def rows_first(self, array: np.ndarray) -> np.ndarray:
        """An array of several rows with rows as its first axis."""
        return np.moveaxis(array, self.axis, 0) if self.axis else array  # moveaxis takes as long as a small step

    def rows_back(self, array: np.ndarray) -> np.ndarray:
        """One with rows as its first axis as callers see it."""
        return np.moveaxis(array, 0, self.axis) if self.axis else array


class RowGraph:
    """The graph of a step whose states are inputs and outputs, in any number of rows.

    names: of the sizes that count rows; none where their number is declared. moving: what each step is fed anew. Code
    is that of one thread: workers have rows of their own.
    """

    def __init__(
        self, compiled: CompiledGraph, outputs: tuple[str, ...], names: frozenset[str], lengths: frozenset[str],
        moving: frozenset[str],
    ) -> None:  # fmt: skip
        self._compiled, self.outputs, self.names, self.lengths = compiled, outputs, names, lengths
        self._moving = moving

    @cached_property
    def compiled(self) -> CompiledGraph:
        given = self._compiled
        options = replace(given.options, threads=ThreadCount())
        return CompiledGraph(given.lowered, given.kind, options, given.declared, rounded=given.rounded)

    @cached_property
    def is_open(self) -> bool:
        """Whether one entry computes any number of rows, each as if it were alone. Else each is run alone."""
        compiled, names, types = self.compiled, self.names, self.compiled.input_types()
        moving = [types[name] for name in compiled.needed(self.outputs) if name in self._moving]
        if not names or any(row_axis(kind.shape, names) is None for kind in moving):
            return False
        graph = compiled.optimized(self.outputs)
        if names & (tiled_sizes(graph) | ordered_sizes(graph)) or compiled.equalities(self.outputs)[0]:
            return False
        return rows_are_independent(compiled.sized(self.outputs, {}, one_step=True), names)

    @property
    def most(self) -> int:
        """Rows that the entry computes in one run."""
        return ROWS_AT_A_TIME if self.is_open else 1

    def sizes(self, others: Mapping[str, int], rows: int) -> dict[str, int]:
        """All sizes of a run. others: those that count no rows."""
        return {**others, **dict.fromkeys(self.names, rows), **dict.fromkeys(self.lengths, 1)}

    def entry(self, others: Mapping[str, int]) -> NativeEntry:
        """others: sizes that count no rows."""
        given = dict(others) if self.is_open else {**others, **dict.fromkeys(self.names, 1)}
        return self.compiled.entry(self.outputs, given, one_step=True)

    def port(self, name: str, kind: TensorType, left_out: int | None, others: Mapping[str, int]) -> RowPort:
        """left_out: an axis of time that has one entry, and that callers leave out."""
        shape = without(tuple(substitute(dim, dict.fromkeys(self.lengths, 1)) for dim in kind.shape), left_out)
        axis = row_axis(shape, self.names)
        known = {**others, **dict.fromkeys(self.names, 1)}
        sizes = [evaluate(dim, known) for dim in shape]
        cut = 0 if axis is None else axis
        behind = cut if axis is None else cut + 1
        return RowPort(name, np.dtype(kind.dtype), axis, tuple(sizes[:cut]), tuple(sizes[behind:]))
