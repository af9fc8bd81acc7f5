"""Axis of examples in a program's feeds, and slices of a batch along it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...batching.input_axes import layout_of, likely_names
from ...ir.axes.by_size import axis_of_sizes, lengths_of, state_rows
from ...ir.graph import with_sizes
from ...ir.types import Dim, Size, size
from ...program.example_inputs import example_inputs
from ...program.program import Program
from ...support.errors import ArgumentError, GraphError, ShapeError, Where
from ...support.records import dataclass


@dataclass(frozen=True)
class BatchRows:
    """Axes of a program's feeds along which a batch can be split into shards.

    Attributes:
        names: Names of sizes that count rows.
        likely: Probable values of sizes, as formulas of other sizes, by name.
        axes: Axis of rows of each input, by name; None for an input without rows, which every shard reads whole.
    """

    names: frozenset[str]
    likely: Mapping[str, Dim]
    axes: Mapping[str, int | None]

    @staticmethod
    def of(program: Program, where: Where | None) -> BatchRows:
        """Find the axes along which a program's batches can be split. Raise ``GraphError`` if there are none."""
        inputs = example_inputs(program.inference, program.evaluation, program.training)
        layout, likely = layout_of(inputs), likely_names(inputs.training.optimized)
        dims = {layout.types[name].shape[axis] for name, axis in layout.batch_axis.items() if axis is not None}
        graph = with_sizes(inputs.training.optimized.graph, likely)
        dims |= {dim for dim in state_rows(graph) if isinstance(dim, Size)} - {*map(size, lengths_of(graph))}
        names = {dim.symbol for dim in dims if isinstance(dim, Size)} - {None}
        if not dims or len(names) < len(dims):
            declared = ", ".join(sorted(str(dim) for dim in dims if not isinstance(dim, Size) or dim.symbol is None))
            raise GraphError(
                f"a batch of {declared or 'no'} rows can't be split into shards; declare the batch axis of "
                "placeholders as None",
                where,
            )
        counted = frozenset(str(name) for name in names)
        sizes = {*map(size, counted)}
        return BatchRows(
            counted, likely, {name: axis_of_sizes(kind.shape, sizes) for name, kind in layout.types.items()}
        )

    def count(self, arrays: Mapping[str, np.ndarray], where: Where | None) -> int:
        """Return the number of rows of feeds. Raise ``ArgumentError`` if none has rows, or if their numbers differ."""
        counts = {
            name: array.shape[axis] for name, array in arrays.items() if (axis := self.axes.get(name)) is not None
        }
        if not counts:
            raise ArgumentError("no feed has a batch axis to split into shards; train without shards", where)
        if len(set(counts.values())) > 1:
            each = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise ArgumentError(f"feeds have different numbers of rows: {each}; give the same number", where)
        return next(iter(counts.values()))

    def cut(self, arrays: Mapping[str, np.ndarray], first: int, stop: int) -> dict[str, np.ndarray]:
        """Return rows ``first`` to ``stop - 1`` of feeds, contiguous. Feeds without rows are returned whole."""
        return {
            name: array if (axis := self.axes.get(name)) is None else rows_of(array, axis, first, stop)
            for name, array in arrays.items()
        }


def rows_of(array: np.ndarray, axis: int, first: int, stop: int) -> np.ndarray:
    """Return the entries ``first`` to ``stop - 1`` along an axis, as a contiguous array."""
    return np.ascontiguousarray(array[(slice(None),) * axis + (slice(first, stop),)])


def require_rows(program: Program, arrays: Mapping[str, np.ndarray], where: Where | None) -> None:
    """Raise ``ShapeError`` if the batch axis of a fed array has size 0."""
    if all(array.size for array in arrays.values()):
        return
    axes = layout_of(example_inputs(program.inference, program.evaluation, program.training)).batch_axis
    for name, array in arrays.items():
        axis = axes.get(name)
        if axis is not None and not array.shape[axis]:
            raise ShapeError(
                f"feed {name} has shape {array.shape}: a training step needs at least one row; leave out batches "
                "without rows",
                where,
            )
