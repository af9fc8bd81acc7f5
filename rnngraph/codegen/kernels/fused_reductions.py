"""Kernels that compute elementwise values and reduce them in the same pass.

The outermost loops run over axes that no reduction folds. The next loops run over the axes that some reduction folds,
except for the last axis. The innermost loop runs over the vectors of a row. Each reduction combines values in the
order of the module ``reductions``, so that its bits are those of a separate kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from ...ir.graph import Node
from ...support.records import dataclass
from ..analysis.kernel_fusion import Kernel
from ..cost_model.register_tiles import lanes_for
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Index, Literal, Operand
from .loop_nests import WorkerSlice, folds, strip_groups
from .reductions import (
    FOLDED_AT_ONCE,
    combining_op,
    interleaved_vectors,
    masks_remainder,
    neutral_of,
    with_valid_lanes,
    with_value,
)
from .region import Region, over_axes
from .values import Coordinate, Coordinates, Strip, ValueEmitter

ROWS_TOGETHER = 4
"""Number of adjacent rows whose vectors are summed across lanes together, by shared instructions."""


def fused_reductions(region: Region, block: Block, kernel: Kernel, share: WorkerSlice | None = None) -> None:
    """Write a kernel that computes and stores elementwise values, and reduces them."""
    _Pass(region, kernel, share).emit(block)


@dataclass(frozen=True)
class _Fold:
    """One reduction of the kernel. ``last`` is the last axis of the reduction's operand."""

    node: Node
    last: int

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """Axes, other than the last, that the reduction folds."""
        return tuple(axis for axis in self.node["axes"] if axis != self.last)

    @cached_property
    def is_over_units(self) -> bool:
        """True if the reduction is over the last axis."""
        return self.last in self.node["axes"]

    def accumulators(self, strips: Sequence[Strip]) -> list[Operand]:
        """Return the reduction's initial accumulators for a row's vectors (``strips``): one for each, or a few for all.

        If the last axis is folded, there are a few vectors for all strips, and a scalar for single units.
        """
        strips = self.parts(strips)
        if not self.is_over_units:
            return [self._neutral(strip.lanes) for strip in strips]
        full = [strip for strip in strips if strip.lanes > 1]
        vectors = [self._neutral(strip.lanes) for strip in full[: interleaved_vectors(len(full))]]
        return [*vectors, *([self._neutral(1)] if len(full) < len(strips) else [])]

    def parts(self, strips: Sequence[Strip]) -> list[Strip]:
        """Return the strips of a row. Single units replace a partial vector that this reduction can't mask."""
        parts = list[Strip]()
        for strip in strips:
            if isinstance(strip.valid, int) and self.is_over_units and not masks_remainder(self.node, strip.lanes):
                parts += (Strip(strip.start + unit, 1) for unit in range(strip.valid))
            else:
                parts.append(strip)
        return parts

    def _neutral(self, lanes: int) -> Operand:
        """Return the neutral element of the reduction as a vector."""
        return Literal(neutral_of(self.node), self.node.dtype, lanes)

    def with_row(
        self, emitter: ValueEmitter, carried: Sequence[Operand], at: Coordinates, strips: Sequence[Strip]
    ) -> list[Operand]:
        """Write code that reduces one more row, at ``at``, into the accumulators ``carried``. Return the new ones."""
        accumulators = [*carried]
        vectors = len(accumulators) - 1 if accumulators[-1].lanes == 1 and len(accumulators) > 1 else len(accumulators)
        for number, strip in enumerate(self.parts(strips)):
            index = number
            if self.is_over_units:
                index = number % vectors if strip.lanes > 1 else len(accumulators) - 1
            before = accumulators[index]
            value = with_value(emitter, self.node, self.node.operands[0], (*at[:-1], strip), before)
            if self.is_over_units:
                value = with_valid_lanes(emitter, self.node, strip, before, value)
            accumulators[index] = value
        return accumulators

    def total(self, block: Block, carried: Sequence[Operand]) -> Operand:
        """Write code that combines accumulators to one scalar: vectors in pairs, then lanes, then single units."""
        units = [item for item in carried if item.lanes == 1]
        vector = self._one_vector(block, carried)
        if vector is None:
            return units[0]
        total = block.let("across", [vector], self.node.dtype, 1, combine=combining_op(self.node))
        return self._combine(block, total, units[0]) if units else total

    def joined(self, block: Block, carried: list[Operand]) -> list[Operand]:
        """Return a row's accumulators, combined into one if this reduces the last axis, to save registers."""
        vector = self._one_vector(block, carried) if self.is_over_units else None
        return carried if vector is None else [vector]

    def totals(self, block: Block, rows: Sequence[Sequence[Operand]]) -> Operand:
        """Write code that reduces each row's vector of partial sums. Return one vector with a total for each row."""
        vectors = [vector for row in rows for vector in row]
        return block.let("across", vectors, self.node.dtype, len(rows), combine=combining_op(self.node))

    def _one_vector(self, block: Block, carried: Sequence[Operand]) -> Operand | None:
        """Write code that combines the vectors among accumulators, in pairs. Return the vector; None without any."""
        vectors = [item for item in carried if item.lanes > 1]
        while len(vectors) > 1:
            half = len(vectors) // 2
            pairs = zip(vectors[:half], vectors[half : 2 * half], strict=True)
            vectors = [*(self._combine(block, one, other) for one, other in pairs), *vectors[2 * half :]]
        return vectors[0] if vectors else None

    def _combine(self, block: Block, one: Operand, other: Operand) -> Operand:
        """Combine two values by the reduction's op."""
        return block.let(combining_op(self.node), [one, other], self.node.dtype, one.lanes)


class _Pass:
    """Writer of a kernel with reductions.

    Attributes:
        rows: Axes, other than the last, that some reduction folds.
        outer: Axes, other than the last, that no reduction folds.
        values: Elementwise values that the kernel computes.
        stored: Values that the kernel also stores.
        several: Number of adjacent rows that are computed together.
    """

    def __init__(self, region: Region, kernel: Kernel, share: WorkerSlice | None) -> None:
        self.region, self.shape, self.share = region, kernel.shape, share
        self.last = len(kernel.shape) - 1
        nodes = [node for node in kernel.members if node.op.startswith("reduce_")]
        self.folds = [_Fold(node, self.last) for node in nodes]
        self.rows = max((fold.rows for fold in self.folds), key=len)
        self.outer = [axis for axis in range(self.last) if axis not in self.rows]
        self.values = [node for node in kernel.members if node not in nodes]
        self.stored = [node for node in self.values if node in region.memory.stores]
        self.lanes = lanes_for(region.target, [*nodes, *self.values], kernel.shape[-1])
        self.several = self._rows_together()

    def _rows_together(self) -> int:
        """Return the number of adjacent rows that are computed together: ``ROWS_TOGETHER`` or 1.

        The number is 1 unless some reduction folds the last axis alone. Both sizes must be fixed, vectors must have at
        least ``ROWS_TOGETHER`` lanes, and no single units may remain after whole vectors. The rows must not be time
        steps, must not be split between workers, and must not end at different steps.
        """
        axis, width = self.last - 1, self.shape[-1]
        if axis < 0 or self.lanes < ROWS_TOGETHER or not isinstance(width, int):
            return 1
        by_units = [fold.node for fold in self.folds if fold.is_over_units]
        if width % self.lanes and not all(masks_remainder(node, self.lanes) for node in by_units):
            return 1
        is_cut = self.region.active is not None or (self.share is not None and self.share.axis == axis)
        if is_cut or self.region.is_time(self.shape, axis) or not isinstance(self.shape[axis], int):
            return 1
        return ROWS_TOGETHER if any(fold.is_over_units and not fold.rows for fold in self.folds) else 1

    def emit(self, block: Block) -> None:
        """Write the loop nest that computes the kernel's elementwise values and its reductions."""
        members = set(self.values)
        everywhere = ValueEmitter(block, self.region.memory.views, computed=members.__contains__)
        origin: list[Coordinate] = [0] * len(self.shape)

        def place(inner: Block, at: list[Coordinate]) -> None:
            emitter = everywhere.within(inner, tuple(at[axis] for axis in self.outer))
            for nested, strips in self._strips(inner):
                self._rows(emitter.within(nested, tuple(strips)), at, strips)

        def rows(inner: Block, at: list[Coordinate]) -> None:
            emitter = everywhere.within(inner, tuple(at[axis] for axis in self.outer[:-1]))
            for nested, strips in self._strips(inner):
                self._over(emitter.within(nested, tuple(strips)), at, [self.last - 1], strips, [], [])

        if self.several > 1 and self.outer[-1:] == [self.last - 1] and not self.rows:
            over_axes(self.region, block, self.shape, self.outer[:-1], origin, rows, self.share)
        else:
            over_axes(self.region, block, self.shape, self.outer, origin, place, self.share)

    def _strips(self, block: Block) -> Iterator[tuple[Block, list[Strip]]]:
        """Yield (block for their code, strips): the vectors of a row in groups that are computed together.

        If a reduction folds the last axis, there is one group: all whole vectors, and then the remaining units. They
        are one partial vector if a reduction masks it, else scalars.
        """
        width, lanes = self.shape[-1], self.lanes
        if not any(fold.is_over_units for fold in self.folds):
            share = self.share if self.share and self.share.axis == self.last else None
            yield from strip_groups(block, width, lanes, FOLDED_AT_ONCE, share)
            return
        assert isinstance(width, int)
        whole = width // lanes * lanes if lanes > 1 else 0
        vectors = [Strip(unit, lanes) for unit in range(0, whole, lanes)]
        if whole < width and any(fold.is_over_units and masks_remainder(fold.node, lanes) for fold in self.folds):
            yield block, [*vectors, Strip(whole, lanes, width - whole)]
        else:
            yield block, [*vectors, *(Strip(unit, 1) for unit in range(whole, width))]

    def _rows(self, emitter: ValueEmitter, at: list[Coordinate], strips: Sequence[Strip]) -> None:
        """Write the computation and reduction of all rows at ``at``, a position of the axes that no reduction folds."""
        carrying = [fold for fold in self.folds if fold.rows]
        starts = [fold.accumulators(strips) for fold in carrying]
        flat = [item for items in starts for item in items]
        totals = self._over(emitter, at, self.rows, strips, carrying, flat)
        for fold, begun in zip(carrying, starts, strict=True):
            own, totals = totals[: len(begun)], totals[len(begun) :]
            self._store(emitter, fold, at, strips, own)

    def _over(
        self,
        emitter: ValueEmitter,
        at: list[Coordinate],
        axes: Sequence[int],
        strips: Sequence[Strip],
        carrying: Sequence[_Fold],
        carried: Sequence[Operand],
    ) -> list[Operand]:
        """Write loops over ``axes`` that compute and reduce rows. Return the carried accumulators after the loops.

        Args:
            emitter: Emitter of values in the surrounding block.
            at: Coordinates of the surrounding loops.
            axes: Axes over which the loops run.
            strips: Strips of a row.
            carrying: Reductions whose accumulators the loops carry. All other reductions are stored for each row.
            carried: Accumulators of ``carrying`` before the loops.

        Returns:
            Accumulators of ``carrying`` after the loops.
        """
        if not axes:
            carried, folded = self._row(emitter, at, strips, carrying, carried)
            for fold, own in folded.items():
                self._store(emitter, fold, at, strips, own)
            return carried
        axis, rest = axes[0], axes[1:]

        def iterate(nested: Block, index: Index, before: Sequence[Operand]) -> list[Operand]:
            inner = emitter.within(nested, (index,))
            return self._over(inner, [*at[:axis], index, *at[axis + 1 :]], rest, strips, carrying, before)

        def several(nested: Block, index: Index, before: Sequence[Operand]) -> list[Operand]:
            return self._several_rows(emitter.within(nested, (index,)), at, index, strips, carrying, before)

        extent = self.shape[axis]
        if self.several == 1 or axis != self.last - 1 or not isinstance(extent, int):
            return folds(emitter.block, carried, extent, 1, iterate)
        whole = extent // self.several * self.several
        if whole:
            carried = folds(emitter.block, carried, whole, self.several, several)
        return folds(emitter.block, carried, extent, 1, iterate, whole) if whole < extent else [*carried]

    def _several_rows(
        self,
        emitter: ValueEmitter,
        at: list[Coordinate],
        first: Index,
        strips: Sequence[Strip],
        carrying: Sequence[_Fold],
        carried: Sequence[Operand],
    ) -> list[Operand]:
        """Write the computation of ``self.several`` adjacent rows, whose reductions over units share instructions.

        Return the accumulators of ``carrying`` after the rows.
        """
        axis, of_rows = self.last - 1, list[dict[_Fold, list[Operand]]]()
        for number in range(self.several):
            place = [*at[:axis], first + number, *at[axis + 1 :]]
            carried, folded = self._row(emitter, place, strips, carrying, carried)
            of_rows.append({fold: fold.joined(emitter.block, own) for fold, own in folded.items()})
        for fold in of_rows[0]:
            if fold.is_over_units:
                total = fold.totals(emitter.block, [folded[fold] for folded in of_rows])
                place = [*at[:axis], Strip(first, self.several), 0]
                self._store_at(emitter, fold, place, total)
                continue
            for number, folded in enumerate(of_rows):
                place = [*at[:axis], first + number, *at[axis + 1 :]]
                self._store(emitter, fold, place, strips, folded[fold])
        return [*carried]

    def _row(
        self,
        emitter: ValueEmitter,
        at: list[Coordinate],
        strips: Sequence[Strip],
        carrying: Sequence[_Fold],
        carried: Sequence[Operand],
    ) -> tuple[list[Operand], dict[_Fold, list[Operand]]]:
        """Write one row's values. Return accumulators after it: of ``carrying``, flat, and of each other reduction."""
        places = [(*at[:-1], strip) for strip in strips]
        stored = [(node, place, emitter.value(node, place)) for place in places for node in self.stored]
        folded = dict[_Fold, list[Operand]]()
        for fold in self.folds:
            own = fold.accumulators(strips)
            if fold in carrying:
                own, carried = [*carried[: len(own)]], carried[len(own) :]
            folded[fold] = fold.with_row(emitter, own, tuple(at), strips)
        for node, place, value in stored:
            with emitter.block.at(node.where):
                for view in self.region.memory.stores[node]:
                    emitter.store(value, view, place)
        others = {fold: own for fold, own in folded.items() if fold not in carrying}
        return [item for fold in carrying for item in folded[fold]], others

    def _store(
        self,
        emitter: ValueEmitter,
        fold: _Fold,
        at: Sequence[Coordinate],
        strips: Sequence[Strip],
        carried: Sequence[Operand],
    ) -> None:
        """Write the stores of a reduction's results at the coordinates ``at``."""
        results = [(0, fold.total(emitter.block, carried))] if fold.is_over_units else zip(strips, carried, strict=True)
        for unit, value in results:
            self._store_at(emitter, fold, (*at[:-1], unit), value)

    def _store_at(self, emitter: ValueEmitter, fold: _Fold, at: Sequence[Coordinate], value: Operand) -> None:
        with emitter.block.at(fold.node.where):
            for view in self.region.memory.stores[fold.node]:
                emitter.store(value, view, self._result_at(fold, tuple(at)))

    def _result_at(self, fold: _Fold, at: Coordinates) -> Coordinates:
        """Return the coordinates in a reduction's result."""
        axes = fold.node["axes"]
        if fold.node["keepdims"]:
            return tuple(0 if axis in axes else coordinate for axis, coordinate in enumerate(at))
        return tuple(coordinate for axis, coordinate in enumerate(at) if axis not in axes)
