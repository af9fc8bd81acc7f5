"""Region: the context in which a kernel runs, such as its memory and workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...ir.types import Dim, Shape
from ...support.records import dataclass
from ..buffers.memory import Memory
from ..cost_model.chunk_length import TimeChunk
from ..cost_model.work_sharing import ONE_WORKER, Workers, WorkSharing
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import Index
from ..machine.target import Target
from .active_rows import ActiveRows
from .loop_nests import WorkerSlice
from .values import Coordinate, Time


@dataclass(frozen=True)
class Region:
    """Context in which a kernel runs.

    Attributes:
        time: Chunk of time in which the region runs; None outside of loops over chunks.
        active: Rows that are computed; None if no mask excludes any.
        has_static_lengths: True if all lengths of loops are ints. Such calls are often short and have few rows.
        parity: Traversal direction of weights, which alternates between the steps of a scan: 0 or 1; 0 outside of
            scans.
    """

    target: Target
    memory: Memory
    time: TimeChunk | None = None
    workers: Workers = ONE_WORKER
    active: ActiveRows | None = None
    has_static_lengths: bool = False
    parity: Index = 0

    @property
    def sharing(self) -> WorkSharing:
        """Choice of partitions for this region's kernels."""
        return WorkSharing(self.target, self.workers, self.time)

    @property
    def reverse(self) -> bool:
        """True if time runs backward."""
        return self.time is not None and self.time.reverse

    def is_time(self, shape: Shape, axis: int) -> bool:
        """True if an axis of a shape is the chunked time axis."""
        return self.time is not None and self.time.is_axis(shape, axis)

    def extent(self, shape: Shape, axis: int) -> Dim:
        """Return the number of iterations of a loop over an axis: for time the chunk's steps, else the axis's size."""
        return self.time.steps if self.time is not None and self.time.is_axis(shape, axis) else shape[axis]

    def at(self, shape: Shape, axis: int, index: Index) -> Coordinate:
        """Return the coordinate of an index on an axis; for time, relative to the current chunk."""
        if self.time is not None and self.time.is_axis(shape, axis):
            return Time(index, self.time.start + index)
        return index

    def within(self, steps: Index, active: ActiveRows | None) -> Region:
        """Return the region restricted to the first ``steps`` steps of the chunk, and to the ``active`` rows."""
        assert self.time is not None
        return replace(self, time=replace(self.time, steps=steps), active=active)


def over_axes(
    region: Region,
    block: Block,
    shape: Shape,
    axes: Sequence[int],
    at: list[Coordinate],
    body: Callable[[Block, list[Coordinate]], None],
    share: WorkerSlice | None = None,
) -> None:
    """Write nested loops over ``axes`` of ``shape``, the first outermost, and ``body`` inside them.

    Args:
        region: Context of the kernel.
        block: Block to which the loops are added.
        shape: Shape of the kernel.
        axes: Axes to loop over.
        at: Coordinates on all axes. Those on ``axes`` are replaced by the loops' variables.
        body: Function that writes the code at coordinates.
        share: Part of an axis for one worker; None for all of it.
    """
    if not axes:
        body(block, at)
        return
    axis, rest = axes[0], axes[1:]

    def inner(nested: Block, index: Index) -> None:
        over_axes(
            region, nested, shape, rest, [*at[:axis], region.at(shape, axis, index), *at[axis + 1 :]], body, share
        )

    first: Index = 0
    stop: Index = region.extent(shape, axis)
    active = region.active
    if active is not None and active.cuts(shape, axis):
        row = active.table.row
        active.each_range(
            block,
            at,
            share if share is not None and share.axis == axis else None,
            lambda nested, _, low, high: loop(nested, "i", high, lambda one, i: inner(one, row(one, i)), low),
        )
        return
    if share is not None and share.axis == axis:
        first, stop = share.range(block, stop)
    loop(block, "tbijk"[min(axis, 4)] if region.is_time(shape, axis) or axis else "b", stop, inner, first)
