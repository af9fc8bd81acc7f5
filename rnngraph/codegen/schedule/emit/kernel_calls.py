"""Calls of the functions of kernels, copies, and tables of active rows."""

from __future__ import annotations

from collections.abc import Callable

from ....ir.graph import with_attributes
from ....ir.types import product, size
from ...analysis.node_kinds import label_of
from ...buffers.carried_state import DOUBLE_BUFFERED
from ...buffers.views import View
from ...cost_model.register_tiles import lanes_for
from ...kernels.active_rows import fill, longest
from ...kernels.emit import copy_to, emit_kernel, origin_of
from ...kernels.kernel_plan import KernelPlan
from ...kernels.loop_nests import WorkerSlice, each_slice, single, strips
from ...kernels.outer_products import add_outer_sum, clear
from ...kernels.region import Region
from ...kernels.values import ValueEmitter
from ...loop_ir.builder import Block, loop
from ...loop_ir.nodes import Call, Index, LetIndex
from ..plan.copy_plan import CopyPlan, RowwiseCopyPlan
from ..plan.row_tables import TablePlan
from .entry_writer import EntryWriter
from .ticks import COPY, TABLE, WORK, Timed


def call_kernel(writer: EntryWriter, region: Region, plan: KernelPlan) -> None:
    """Add a call of a function with the code of a planned kernel, after a barrier if needed."""
    kernel, partition = plan.kernel, plan.partition
    names = ", ".join(dict.fromkeys(label_of(node) for node in kernel.members if node in region.memory.stores))
    where = next((str(node.where) for node in kernel.members if node.where), "")
    comment = f"{kernel.kind} {names}  {where}".strip()
    part, origin = plan.part_of(region), origin_of(kernel.members)
    timed = Timed(
        WORK, kernel.members, comment, plan, region.memory, active=plan.active, chunked=region.time is not None
    )
    with writer.timing(timed):
        if kernel.kind == "outer_sum":
            _call_outer_sum(writer, part, plan, comment)
        else:
            writer.kernel(
                lambda block: emit_kernel(part, block, plan), comment, partition.by_rows, partition.serial, origin
            )


def call_copy(writer: EntryWriter, region: Region, plan: CopyPlan) -> None:
    """Add a call of a function that makes a planned copy of a value to another location."""
    partition, node, place = plan.partition, plan.value, plan.place
    if plan.as_row:
        row = 1, writer.block.let_index("elements", "max", product(node.shape), 0)
        dense = place.as_contiguous(row)
        assert dense is not None, f"the plan fills {place} as a row"
        node, place = with_attributes(node, shape=row), dense
    if plan.parity is not None:
        writer.block.add(LetIndex(plan.parity.name, "parity", plan.parity.position))

    def emit(block: Block) -> None:
        copy_to(region, block, node, [place], partition)

    with writer.timing(Timed(COPY, (plan.value,), plan.what, owner=plan.owner)):
        writer.kernel(emit, plan.what, partition.by_rows, partition.serial, origin_of([node]))


def call_row_copy(writer: EntryWriter, region: Region, plan: RowwiseCopyPlan) -> None:
    """Add a call of a function that copies each row of a carry from or to its location at the row's own last step."""
    table, state, value, to = plan.table, plan.state, plan.value, plan.to
    block, rows, parts = Block(origin=value.where or plan.owner.where), table.mask.rows, writer.parts

    def at(inner: Block, position: Index) -> View:
        slot: Index = 0
        if state.kind == DOUBLE_BUFFERED:
            name = inner.fresh_index("slot")
            inner.add(LetIndex(name, "parity", position))
            slot = size(name)
        return state.at(position, slot)

    def row(inner: Block, index: Index) -> None:
        end = at(inner, table.length_of(inner, index))
        source, place = (region.memory.views, end) if to is None else ({value: end}, at(inner, to))
        for nested, strip in strips(inner, value.shape[-1], lanes_for(region.target, [value], value.shape[-1])):
            emitter = ValueEmitter(nested, source)
            emitter.store(emitter.value(value, (index, strip)), place, (index, strip))

    def between(inner: Block, first: Index, stop: Index) -> None:
        loop(inner, "b", stop, row, first)

    by_rows = plan.partition.by_rows
    if by_rows:
        each_slice(parts, block, 0, lambda inner, share: between(inner, *share.range(inner, rows)))
    else:
        single(parts, block, lambda inner: between(inner, 0, rows))
    with writer.timing(Timed(COPY, (value,), plan.what, owner=plan.owner)):
        writer.function(block, plan.what, "fused", by_rows)


def write_table(writer: EntryWriter, plan: TablePlan) -> None:
    """Write code that computes, from rows' lengths, the number of steps until all rows have ended.

    If rows are skipped individually, also add a call of a function that sorts the rows by length.
    """
    table, views, cursor = plan.table, plan.views, plan.cursor
    mask, parts = table.mask, table.parts
    if writer.unsynchronized and writer.parts > 1:
        writer.barrier()
    writer.block.add(LetIndex(plan.span, "of", 0, mask.length + 1, longest(mask, writer.block, views)))
    if cursor is None:
        return

    def sort(block: Block) -> None:
        if parts == 1:
            whole = WorkerSlice(0, 1, 0)
            single(writer.parts, block, lambda inner: fill(table, cursor, inner, views, whole))
        else:
            each_slice(writer.parts, block, 0, lambda inner, share: fill(table, cursor, inner, views, share))

    comment = "rows in the order of their lengths"
    with writer.timing(Timed(TABLE, (mask.lengths,), comment, owner=plan.owner)):
        writer.kernel(sort, comment, by_rows=parts > 1)


def _call_outer_sum(writer: EntryWriter, region: Region, plan: KernelPlan, comment: str) -> None:
    """Add calls of functions that clear, pack and compute a sum of outer products.

    The calls share scratch memory. Each part of the kernel packs the operands that it reads, so that no barriers are
    needed between the calls.
    """
    node, axis, parts, block = plan.kernel.first, plan.partition.axis, region.workers.parts, writer.block

    def kernel(inner: Block, emit: Callable[[Block], None]) -> Call | None:
        whole = emit if axis is not None else lambda one: single(parts, one, emit)
        with writer.into(inner):
            call = writer.emit(whole, comment, node.where)
        return call if writer.ticks is None else None  # in a profiled entry, a tick follows each call

    if region.time is None:

        def zeros(inner: Block) -> None:
            single(parts, inner, lambda one: clear(region, one, node))

        writer.kernel(zeros, comment, origin=node.where)
    writer.synchronize()
    if axis is None:
        add_outer_sum(region, block, plan, kernel)
    else:
        each_slice(parts, block, axis, lambda inner, share: add_outer_sum(region, inner, plan, kernel, share))
