"""Kernels and copies as functions that an entry calls, for as many workers as it has."""

from __future__ import annotations

from collections.abc import Callable

from ...ir.graph import Node
from ..analysis.node_kinds import label_of
from ..buffers.views import View
from ..kernels.emit import copy_partition, copy_to, emit_kernel, origin_of
from ..kernels.kernel_plan import KernelPlan
from ..kernels.loop_nests import each_slice, single
from ..kernels.outer_products import add_outer_sum, clear
from ..kernels.region import Region
from ..loop_ir.builder import Block
from .entry_writer import EntryWriter
from .group_plan import CopyPlan
from .ticks import COPY, WORK, Timed


def call_kernel(writer: EntryWriter, region: Region, plan: KernelPlan) -> None:
    """Adds a call of what a plan describes."""
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


def call_copy(
    writer: EntryWriter, region: Region, node: Node, view: View, comment: str, owner: Node | None = None
) -> CopyPlan:  # fmt: skip
    """Adds a call of a function that writes a value to a place. owner: the node for which it does, where it is not the
    value's own.
    """
    partition = copy_partition(region, node)
    with writer.timing(Timed(COPY, (node,), comment, owner=owner)):
        writer.kernel(
            lambda block: copy_to(region, block, node, [view], partition), comment, partition.by_rows,
            partition.serial, origin_of([node]),
        )  # fmt: skip
    return CopyPlan(comment, partition)


def _call_outer_sum(writer: EntryWriter, region: Region, plan: KernelPlan, comment: str) -> None:
    """Several kernels, with scratch memory between them. Each part packs its own: no worker waits in between."""
    node, axis, parts, block = plan.kernel.first, plan.partition.axis, region.workers.parts, writer.block

    def kernel(inner: Block, emit: Callable[[Block], None]) -> None:
        whole = emit if axis is not None else lambda one: single(parts, one, emit)
        with writer.into(inner):
            writer.emit(whole, comment, node.where)

    if region.time is None:

        def zeros(inner: Block) -> None:
            single(parts, inner, lambda one: clear(region, one, node))

        writer.kernel(zeros, comment, origin=node.where)
    writer.synchronize()
    if axis is None:
        add_outer_sum(region, block, plan, kernel)
    else:
        each_slice(parts, block, axis, lambda inner, share: add_outer_sum(region, inner, plan, kernel, share))
