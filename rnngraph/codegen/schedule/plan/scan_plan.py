"""Plan of a scan: workers of a step, memory of its values, and tiles of its kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

from ....ir.graph import Graph, Node
from ....ir.types import size, symbols_of
from ....support.errors import VerifyError
from ....support.records import dataclass
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
from ...loop_ir.worker_names import WORKER
from ..analyse.scan_blocks import ScanBlocks
from ..analyse.scan_sharing import ScanSharing
from .copy_plan import AnyCopyPlan, CopyPlan, Parity, RowwiseCopyPlan
from .scan_layout import ScanLayout, zeros_like


@dataclass(frozen=True)
class StepCopies:
    """Partitions of the copies in a step.

    Attributes:
        early: Partitions of the copies before the kernels, in the order of ``StepMemory.early``.
        late: Partitions of the copies after the kernels, in the order of ``StepMemory.late``.
        carried: Partitions of the copies of carries. Empty unless blocks of steps have initial values, carries are
            saved, or steps may be skipped.
        zeros: Partitions of the copies of zeros to results. Empty unless steps may be skipped, or a mask excludes rows
            that have ended.
    """

    early: tuple[Partition, ...]
    late: tuple[Partition, ...]
    carried: tuple[Partition, ...] = ()
    zeros: tuple[Partition, ...] = ()


@dataclass(frozen=True)
class StepPlan:
    """Plan of a step.

    Attributes:
        kernels: Kernels in order.
        unroll: Steps per iteration of the loop over steps.
        memory: Memory of one step. The memory of other steps has the same layout.
    """

    kernels: tuple[KernelPlan, ...]
    copies: StepCopies
    unroll: int
    memory: Memory


@dataclass(frozen=True)
class ScanPlan:
    """Plan of a scan.

    Attributes:
        tag: Suffix of names in the entry.
        unread: Values that are never read for rows that have ended.
        final: Copies of final carries, and the parities that select the locations of double-buffered final carries.
        follows: True if each block runs directly after the same block of the previous scan.
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
        """The scan."""
        return self.layout.node

    @property
    def states(self) -> tuple[State, ...]:
        """Memory of carries."""
        return self.layout.states

    @property
    def active(self) -> ActiveSteps | None:
        """Active steps and rows; None if no mask excludes rows that have ended."""
        return self.layout.active

    @property
    def kernels(self) -> tuple[KernelPlan, ...]:
        """Kernels of a step."""
        return self.step.kernels

    @property
    def comment(self) -> str:
        """Description of the scan for the loop IR."""
        return f"scan {label_of(self.node)}  {self.node.where}"


# Memory ------------------------------------------------------------------------------------------


def carried_states(
    allocation: Allocation,
    histories: Mapping[tuple[Node, int], View],
    node: Node,
    body: Graph,
    fused: FusedKernels,
    blocks: ScanBlocks | None,
) -> tuple[State, ...]:
    """Return each carry's memory: for all steps, overwritten in place, or double-buffered.

    The memory is the carry's history, if the history is stored. Otherwise, the carry is in place if a step may
    overwrite it, else double-buffered.

    Args:
        allocation: Allocator of memory.
        histories: Stored histories, by (scan, index of the carry).
        node: The scan.
        body: Body of a step.
        fused: Kernels of a step.
        blocks: Division of the scan into blocks, if any.
    """
    users, states = body.users(), list[State]()
    outputs = [value for _, value in body.outputs]
    for index, (param, following) in enumerate(zip(node["body"].inputs[: node["carries"]], outputs, strict=False)):
        view, kind = histories.get((node, index)), FULL_HISTORY
        if view is None:
            is_unique = outputs[: node["carries"]].count(following) == 1
            in_place = is_unique and may_overwrite(fused, outputs, users, body.inputs[index], following)
            kind = IN_PLACE if in_place else DOUBLE_BUFFERED
            is_spread = blocks is not None and blocks.cuts_last_axis(param)
            view = allocation.temporary(param, param.shape if in_place else (2, *param.shape), is_spread=is_spread)
        states.append(State(view, kind, node["length"], node["reverse"]))
    return tuple(states)


# Steps -------------------------------------------------------------------------------------------


def step_region(layout: ScanLayout, sharing: ScanSharing, memory: Memory, absolute: Index, parity: Index) -> Region:
    """Return the context (memory, workers, active rows) for kernels of the step at position ``absolute``.

    If rows are skipped individually, and the scan is not divided into blocks, the region has only the active rows.
    ``parity`` selects the direction in which weights are read.
    """
    table = layout.table
    by_rows = table is not None and table.by_rows and layout.blocks is None
    active = ActiveRows(table, absolute) if table is not None and by_rows else None
    return Region(layout.chunk.target, memory, None, sharing.workers, active, parity=parity)


def plan_step(layout: ScanLayout, sharing: ScanSharing) -> StepPlan:
    """Return the plan of a scan's step, valid for all steps: its kernels, copies and memory."""
    block = () if layout.blocks is None else tuple(size(f"block{axis}") for axis in range(len(layout.blocks.axes)))
    at = replace(layout.moment(size("s0")), slot=size("slot0") if layout.alternates else 0, block=block)
    memory, early, late = layout.step(layout.inputs(at), at)
    if sharing.shared_axis is not None:
        _check_parts(memory, {f"block{sharing.shared_axis}", str(WORKER)})
    region = step_region(layout, sharing, memory, at.absolute, at.slot)
    kernels = zip(layout.fused.kernels, sharing.partitions, strict=True)
    plans = tuple(plan_kernel(region, kernel, partition) for kernel, partition in kernels)
    before, after = (tuple(copy_partition(region, value) for value, _ in passed) for passed in (early, late))
    parts = layout.parts
    carried, zeros = tuple[Partition, ...](), tuple[Partition, ...]()
    if parts.when is not None or parts.keeps is not None or parts.blocks is not None:
        carried = tuple(copy_partition(region, layout.of_step(carry.inside)) for carry in parts.carries)
    if parts.when is not None or layout.table is not None:
        zeros = tuple(copy_partition(region, zeros_like(value)) for _, value in parts.emits)
    return StepPlan(plans, StepCopies(before, after, carried, zeros), parts.unroll or 1, memory)


def _check_parts(memory: Memory, parts: Set[str]) -> None:
    """Raise ``VerifyError`` if workers that run different blocks would write a value of a step to the same location.

    Each location must depend on one of the symbols in ``parts``.
    """
    for node, views in memory.stores.items():
        if not all(parts & symbols_of(view.offset) for view in views):
            raise VerifyError(f"workers that run different blocks of a scan write {label_of(node)} to the same memory")


def plan_scan(layout: ScanLayout, sharing: ScanSharing, tag: str, unread: Mapping[Node, LengthMask]) -> ScanPlan:
    """Return the plan of a scan. ``unread`` has the values never read for ended rows, with the masks of these rows."""
    mask = None if layout.table is None else layout.table.mask
    ended = frozenset(node for node, other in unread.items() if mask is not None and other == mask)
    final = tuple(_final_copies(layout, sharing, tag))
    return ScanPlan(layout, tag, sharing, plan_step(layout, sharing), ended, final)


# Before and after the steps ---------------------------------------------------------------------


def initial_copies(plan: ScanPlan, before: Region) -> Iterator[AnyCopyPlan]:
    """Yield planned copies of a scan's initial values to the memory of its carries.

    No copies are planned for a scan that runs in blocks of steps, because each block copies its own initial values.
    """
    layout, table, node = plan.layout, plan.layout.table, plan.node
    if layout.parts.blocks is not None:
        return
    for index, (carry, state) in enumerate(zip(layout.parts.carries, layout.states, strict=True)):
        value, place, parity = carry.initial, state.first(), None
        what = f"initial {label_of(value)}"
        if table is not None and node["reverse"]:  # a reverse scan starts at each row's own last step
            if table.by_rows and state.kind != IN_PLACE:
                partition = RowwiseCopyPlan.partition_of(plan.sharing.estimate.by_rows)
                yield RowwiseCopyPlan(what, partition, value, table, state, node)
                continue
            place, parity = _carry_at(state, table.span, f"first{plan.tag}_{index}")
        yield CopyPlan(what, copy_partition(before, value), value, place, node, parity)


def _carry_at(state: State, position: Index, name: str) -> tuple[View, Parity | None]:
    """Return the location of a carry between the steps ``position - 1`` and ``position``, and its parity.

    The parity, called ``name``, selects one of two locations of a double-buffered carry; None for other carries.
    """
    parity = Parity(name, position) if state.kind == DOUBLE_BUFFERED else None
    return state.at(position, size(name)), parity


def _final_copies(layout: ScanLayout, sharing: ScanSharing, tag: str) -> Iterator[RowwiseCopyPlan | Parity]:
    """Yield planned copies of a scan's final carries, and step parities that select a final carry's buffer.

    Without a mask that excludes ended rows, nothing is copied, and one parity applies to all carries. With a mask,
    carries that nothing reads after the scan are left out. In a forward scan that skips rows individually, a row's
    final carry is at the location after its own last step, so that carries not in place are copied.
    """
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
        _, parity = _carry_at(state, _last_position(layout, table), f"last{tag}_{index}")
        if parity is not None:
            yield parity


def _last_position(layout: ScanLayout, table: MaskTable) -> Index:
    """Return the position of the final carries of a scan with a mask: the mask's span, or 0 for a reverse scan."""
    return 0 if layout.node["reverse"] else table.span


def final_views(plan: ScanPlan) -> dict[Node, View]:
    """Return {node that reads a final carry: the carry's memory after the last step}."""
    layout, views = plan.layout, dict[Node, View]()
    for index, state in enumerate(layout.states):
        for user in layout.results.get(index, ()):
            if layout.table is None:
                views[user] = state.last(size(f"last{plan.tag}"))
            else:
                views[user], _ = _carry_at(state, _last_position(layout, layout.table), f"last{plan.tag}_{index}")
    return views
