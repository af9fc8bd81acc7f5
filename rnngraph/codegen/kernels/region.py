"""Region: the memory, chunk of time, workers and active rows of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...ir.types import Dim, Shape
from ...support.records import dataclass
from ..buffers.memory import Memory
from ..cost_model.chunk_length import TimeChunk
from ..cost_model.work_sharing import ONE_WORKER, Workers, WorkSharing
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Index
from ..machine.target import Target
from .active_rows import ActiveRows
from .loop_nests import WorkerSlice, loop
from .values import Coordinate, Time


@dataclass(frozen=True)
class Region:
    """Context of a kernel.

    Attributes:
        time: Chunk in which the region runs, if its first axis is time.
        active: Rows that are computed, if not all.
        is_step: All lengths of loops are known, so that a call is short and may have few rows.
        parity: Parity of the turn of the enclosing loop, or 0.
    """

    target: Target
    memory: Memory
    time: TimeChunk | None = None
    workers: Workers = ONE_WORKER
    active: ActiveRows | None = None
    is_step: bool = False
    parity: Index = 0

    @property
    def sharing(self) -> WorkSharing:
        """How the kernels of this region are split between its workers."""
        return WorkSharing(self.target, self.workers, self.time)

    @property
    def reverse(self) -> bool:
        """True if time runs backward."""
        return self.time is not None and self.time.reverse

    def is_time(self, shape: Shape, axis: int) -> bool:
        """True if an axis is time, of which a chunk is computed."""
        return self.time is not None and self.time.is_axis(shape, axis)

    def extent(self, shape: Shape, axis: int) -> Dim:
        """Return the number of turns of a loop over an axis."""
        return self.time.steps if self.time is not None and self.time.is_axis(shape, axis) else shape[axis]

    def at(self, shape: Shape, axis: int, index: Index) -> Coordinate:
        """Return a position on an axis; for time, one in the present chunk."""
        if self.time is not None and self.time.is_axis(shape, axis):
            return Time(index, self.time.start + index)
        return index

    def within(self, steps: Index, active: ActiveRows | None) -> Region:
        """Return the region with fewer steps, and only active rows in them."""
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
    """Loop over ``axes`` of ``shape``, outermost first, and fill in ``at``. ``share`` is a part of one of the axes."""
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
