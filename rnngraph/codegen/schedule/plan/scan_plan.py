"""What is decided of a scan before it is written: who computes a step, where values lie, and how kernels are tiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ....ir.graph import Graph, Node
from ....ir.types import size
from ...analysis.kernel_fusion import FusedKernels
from ...analysis.node_kinds import label_of
from ...analysis.row_lengths import LengthMask
from ...buffers.allocation import Allocation
from ...buffers.buffer_reuse import may_overwrite
from ...buffers.carried_state import DOUBLE_BUFFERED, FULL_HISTORY, IN_PLACE, State
from ...buffers.memory import Memory
from ...buffers.views import View
from ...cost_model.work_sharing import Partition
from ...kernels.active_rows import ActiveRows, ActiveSteps, MaskTable
from ...kernels.emit import copy_partition
from ...kernels.kernel_plan import KernelPlan, plan_kernel
from ...kernels.region import Region
from ...loop_ir.nodes import Index
from ..analyse.scan_sharing import ScanSharing
from .copy_plan import AnyCopyPlan, CopyPlan, Parity, RowwiseCopyPlan
from .scan_layout import ScanLayout, zeros_like


@dataclass(frozen=True)
class StepCopies:
    """How values that a step copies are cut between workers.

    early, late: of those that are copied before and behind the kernels, in the order of ``StepMemory``. carried: of
    carried values, where blocks begin with values of their own, are kept, or steps may not run. zeros: of what is
    emitted where steps may not run, or rows have ended.
    """

    early: tuple[Partition, ...]
    late: tuple[Partition, ...]
    carried: tuple[Partition, ...] = ()
    zeros: tuple[Partition, ...] = ()


@dataclass(frozen=True)
class StepPlan:
    """How a step is computed.

    kernels: in their order. unroll: steps of one turn of the loop over steps. memory: of any one step; in others,
    values lie alike.
    """

    kernels: tuple[KernelPlan, ...]
    copies: StepCopies
    unroll: int
    memory: Memory


@dataclass(frozen=True)
class ScanPlan:
    """How a scan is computed.

    tag: of names in the entry. unread: values that nobody reads of rows that have ended. final: what is done behind the
    last step, so that the scan's results lie where they are read. follows: whether each block runs right behind the
    same block of the scan before.
    """

    layout: ScanLayout
    tag: str
    sharing: ScanSharing
    step: StepPlan
    unread: frozenset[Node]
    final: tuple[RowwiseCopyPlan | Parity, ...]
    follows: bool = False

    @property
    def node(self) -> Node:
        return self.layout.node

    @property
    def states(self) -> tuple[State, ...]:
        """Where carried values lie."""
        return self.layout.states

    @property
    def active(self) -> ActiveSteps | None:
        """The steps and rows that are computed, where a mask leaves out others."""
        return self.layout.active

    @property
    def kernels(self) -> tuple[KernelPlan, ...]:
        """The kernels of a step."""
        return self.step.kernels

    @property
    def comment(self) -> str:
        return f"scan {label_of(self.node)}  {self.node.where}"


# Memory ------------------------------------------------------------------------------------------


def carried_states(
    allocation: Allocation, histories: Mapping[tuple[Node, int], View], node: Node, body: Graph, fused: FusedKernels
) -> tuple[State, ...]:
    """Where carried values lie: in a history that is kept, in place where a step may overwrite them, else in two places
    in turn. body, fused: of a step, and its kernels.
    """
    users, found = body.users(), list[State]()
    outputs = [value for _, value in body.outputs]
    for index, (formal, following) in enumerate(zip(node["body"].inputs[: node["carries"]], outputs, strict=False)):
        view, kind = histories.get((node, index)), FULL_HISTORY
        if view is None:
            once = outputs[: node["carries"]].count(following) == 1
            in_place = once and may_overwrite(fused, outputs, users, body.inputs[index], following)
            kind = IN_PLACE if in_place else DOUBLE_BUFFERED
            view = allocation.temporary(formal, formal.shape if in_place else (2, *formal.shape))
        found.append(State(view, kind, node["length"], node["reverse"]))
    return tuple(found)


# Steps -------------------------------------------------------------------------------------------


def step_region(layout: ScanLayout, sharing: ScanSharing, memory: Memory, absolute: Index, parity: Index) -> Region:
    """The region of a step at a position in the sequence."""
    table = layout.table
    active = ActiveRows(table, absolute) if table is not None and table.by_rows else None
    return Region(layout.chunk.target, memory, None, sharing.workers, active, parity=parity)


def plan_step(layout: ScanLayout, sharing: ScanSharing) -> StepPlan:
    """The plan of every step, as of one at a position that is not known."""
    block = () if layout.blocks is None else tuple(size(f"block{axis}") for axis in range(len(layout.blocks.axes)))
    at = replace(layout.moment(size("s0")), slot=size("slot0") if layout.alternates else 0, block=block)
    memory, early, late = layout.step(layout.inputs(at), at)
    region = step_region(layout, sharing, memory, at.absolute, at.slot)
    kernels = zip(layout.fused.kernels, sharing.partitions, strict=True)
    plans = tuple(plan_kernel(region, kernel, partition) for kernel, partition in kernels)
    before, behind = (tuple(copy_partition(region, value) for value, _ in passed) for passed in (early, late))
    parts = layout.parts
    carried, zeros = tuple[Partition, ...](), tuple[Partition, ...]()
    if parts.when is not None or parts.keeps is not None or parts.blocks is not None:
        carried = tuple(copy_partition(region, layout.of_step(carry.inside)) for carry in parts.carries)
    if parts.when is not None or layout.table is not None:
        zeros = tuple(copy_partition(region, zeros_like(value)) for _, value in parts.emits)
    return StepPlan(plans, StepCopies(before, behind, carried, zeros), parts.unroll or 1, memory)


def plan_scan(layout: ScanLayout, sharing: ScanSharing, tag: str, unread: Mapping[Node, LengthMask]) -> ScanPlan:
    """The plan of a scan. unread: values that nobody reads of rows that have ended, by mask."""
    mask = None if layout.table is None else layout.table.mask
    ended = frozenset(node for node, other in unread.items() if mask is not None and other == mask)
    final = tuple(_final(layout, sharing, tag))
    return ScanPlan(layout, tag, sharing, plan_step(layout, sharing), ended, final)


# Before and behind the steps ---------------------------------------------------------------------


def initial_copies(plan: ScanPlan, before: Region) -> Iterator[AnyCopyPlan]:
    """Initial values, before the first step. before: the region as ``before_loops`` gives it."""
    layout, table, node = plan.layout, plan.layout.table, plan.node
    if layout.parts.blocks is not None:  # each begins with values of its own
        return
    for index, (carry, state) in enumerate(zip(layout.parts.carries, layout.states, strict=True)):
        value, place, parity = carry.initial, state.first(), None
        what = f"initial {label_of(value)}"
        if table is not None and node["reverse"]:  # a row begins with its own last step
            if table.by_rows and state.kind != IN_PLACE:
                partition = RowwiseCopyPlan.partition_of(plan.sharing.estimate.by_rows)
                yield RowwiseCopyPlan(what, partition, value, table, state, node)
                continue
            place, parity = _at(state, table.span, f"first{plan.tag}_{index}")
        yield CopyPlan(what, copy_partition(before, value), value, place, node, parity)


def _at(state: State, position: Index, name: str) -> tuple[View, Parity | None]:
    """Where a carried value lies at a position, and what tells that. name: of the place, in the entry."""
    parity = Parity(name, position) if state.kind == DOUBLE_BUFFERED else None
    return state.at(position, size(name)), parity


def _final(layout: ScanLayout, sharing: ScanSharing, tag: str) -> Iterator[RowwiseCopyPlan | Parity]:
    """What is done behind the last step."""
    table = layout.table
    if table is None:
        if layout.alternates:
            yield Parity(f"last{tag}", layout.node["length"])
        return
    for index, (state, carry) in enumerate(zip(layout.states, layout.parts.carries, strict=True)):
        if index not in layout.results:
            continue
        if table.by_rows and not layout.node["reverse"] and state.kind != IN_PLACE:
            what, partition = f"last {label_of(carry.inside)}", RowwiseCopyPlan.partition_of(sharing.estimate.by_rows)
            yield RowwiseCopyPlan(what, partition, carry.inside, table, state, layout.node, table.span)
        _, parity = _at(state, _last(layout, table), f"last{tag}_{index}")
        if parity is not None:
            yield from [parity] * len(layout.results[index])


def _last(layout: ScanLayout, table: MaskTable) -> Index:
    """The position at which carried values lie once all steps have run, where rows end before the last step, or in
    reverse begin after the first.
    """
    return 0 if layout.node["reverse"] else table.span


def final_views(plan: ScanPlan) -> dict[Node, View]:
    """Where final values lie behind the last step."""
    layout, views = plan.layout, dict[Node, View]()
    for index, state in enumerate(layout.states):
        for user in layout.results.get(index, ()):
            if layout.table is None:
                views[user] = state.last(size(f"last{plan.tag}"))
            else:
                views[user], _ = _at(state, _last(layout, layout.table), f"last{plan.tag}_{index}")
    return views
