"""Graph of a step for any number of rows, and the layout of a row's arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from ...ir.types import TensorType, array_dtype, evaluate, substitute
from ...support.records import dataclass
from ..calls.prepared_call import without_axis
from ..native.compiled_graph import CompiledGraph
from ..native.entry import NativeEntry
from ..native.optimized_graph import Changes, ordered_sizes, tiled_sizes
from ..native.worker_pool import ThreadCount
from .independent_rows import row_axis, rows_are_independent

ROWS_AT_A_TIME = 64
"""Rows per run of an entry. Weights are read once per run, and temporaries stay in L2."""


@dataclass(frozen=True)
class RowPort:
    """Layout of one row in an array of a step.

    Attributes:
        axis: Row axis in an array of several rows; None if the array has no row axis.
        before: Sizes of the axes before the row axis; empty if there is no row axis.
        after: Sizes of the axes after the row axis; all sizes if there is no row axis.
    """

    name: str
    dtype: np.dtype
    axis: int | None
    before: tuple[int, ...]
    after: tuple[int, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row, without the row axis."""
        return (*self.before, *self.after)

    @property
    def pieces(self) -> int:
        """Number of contiguous pieces of memory that one row has in an array of several rows."""
        return math.prod(self.before)

    @property
    def piece_bytes(self) -> int:
        return math.prod(self.after) * self.dtype.itemsize

    def rows(self, count: int) -> tuple[int, ...]:
        """Return the shape of an array of several rows. If there is no row axis, rows become the first axis."""
        return (*self.before, count, *self.after)

    def rows_first(self, array: np.ndarray) -> np.ndarray:
        """Return an array of several rows with the row axis moved to the front."""
        return np.moveaxis(array, self.axis, 0) if self.axis else array  # moveaxis takes as long as a small step

    def rows_back(self, array: np.ndarray) -> np.ndarray:
        """Move the row axis from the front to its position in the caller's array."""
        return np.moveaxis(array, 0, self.axis) if self.axis else array


class RowGraph:
    """Graph of a step with states as inputs and outputs, for any number of rows.

    The code is single-threaded, because different workers compute different rows.

    Attributes:
        names: Symbols that count rows; empty if the number of rows is fixed.
        lengths: Symbols that count steps, which are 1 here.
    """

    def __init__(
        self,
        compiled: CompiledGraph,
        outputs: tuple[str, ...],
        names: frozenset[str],
        lengths: frozenset[str],
        per_step: frozenset[str],
    ) -> None:
        self._compiled, self.outputs, self.names, self.lengths = compiled, outputs, names, lengths
        self._per_step = per_step

    @cached_property
    def compiled(self) -> CompiledGraph:
        source = self._compiled
        options = replace(source.options, threads=ThreadCount())
        return CompiledGraph(source.lowered, source.kind, options, source.declared, Changes(rounded=source.rounded))

    @cached_property
    def is_open(self) -> bool:
        """True if one call of compiled code can step any number of rows; False if each row needs a call."""
        compiled, names, types = self.compiled, self.names, self.compiled.input_types()
        per_step = [types[name] for name in compiled.needed(self.outputs) if name in self._per_step]
        if not names or any(row_axis(kind.shape, names) is None for kind in per_step):
            return False
        graph = compiled.optimized(self.outputs)
        if names & (tiled_sizes(graph) | ordered_sizes(graph)) or compiled.equalities(self.outputs)[0]:
            return False
        return rows_are_independent(compiled.sized(self.outputs, {}, one_step=True), names)

    @property
    def max_rows(self) -> int:
        """Maximum number of rows per run of the entry."""
        return ROWS_AT_A_TIME if self.is_open else 1

    def sizes(self, others: Mapping[str, int], rows: int) -> dict[str, int]:
        """Return all sizes of a run with ``rows`` rows; ``others`` are the other sizes."""
        return {**others, **dict.fromkeys(self.names, rows), **dict.fromkeys(self.lengths, 1)}

    def entry(self, others: Mapping[str, int]) -> NativeEntry:
        """Return the entry of a step; ``others`` are the sizes that do not count rows."""
        sizes = dict(others) if self.is_open else {**others, **dict.fromkeys(self.names, 1)}
        return self.compiled.entry(self.outputs, sizes, one_step=True)

    def port(self, name: str, kind: TensorType, left_out: int | None, others: Mapping[str, int]) -> RowPort:
        """Return the layout of a row in an input or result, whose time axis ``left_out`` of length 1 callers omit."""
        shape = without_axis(tuple(substitute(dim, dict.fromkeys(self.lengths, 1)) for dim in kind.shape), left_out)
        axis = row_axis(shape, self.names)
        known = {**others, **dict.fromkeys(self.names, 1)}
        sizes = [evaluate(dim, known) for dim in shape]
        cut = 0 if axis is None else axis
        after = cut if axis is None else cut + 1
        return RowPort(name, np.dtype(array_dtype(kind.dtype)), axis, tuple(sizes[:cut]), tuple(sizes[after:]))
