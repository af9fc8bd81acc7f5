"""Second phase of scheduling: assign memory to the values of each fusion group, and plan its kernels.

Sequences have the layout [time][row][padded units]. Feeds are read through their strides, and results are written to
the caller's memory. All temporaries are in one arena, whose size is a formula of sizes known at run time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from ....ir.axes.walk import adds_up
from ....ir.graph import Node, make, zero
from ....ir.scan import ScanParts
from ....ir.types import size
from ....support.records import dataclass
from ...analysis.kernel_fusion import Kernel
from ...analysis.node_kinds import label_of
from ...analysis.row_lengths import RowLengths
from ...buffers.allocation import Allocation, GroupMemory
from ...buffers.carried_state import State
from ...buffers.packing import PanelLayout, Panels
from ...buffers.views import View
from ...cost_model.interleaving import Phase
from ...cost_model.pipelining import BUFFER_DEPTH
from ...cost_model.work_sharing import ONE_WORKER
from ...kernels.active_rows import ActiveSteps
from ...kernels.emit import copy_partition, origin_of
from ...kernels.kernel_plan import KernelPlan, plan_kernel
from ...kernels.region import Region
from ...loop_ir.worker_names import WORKER
from ..analyse.entry_analysis import EntryAnalysis, GroupAnalysis, SectionAnalysis
from .chunks import Chunks, loop_buffers, stage_needs
from .copy_plan import AnyCopyPlan, CopyPlan, before_loops
from .entry_plan import EntryPlan, MemoryPlan
from .group_plan import GroupPlan, SectionPlan, TimeLoopPlan
from .row_tables import Active, RowTables, TablePlan
from .scan_layout import ScanLayout
from .scan_plan import ScanPlan, carried_states, final_views, initial_copies, plan_scan

SHARED_BYTES = 32 << 20
"""Parameters of at least this many bytes together are assumed to exceed all caches.

Their weights are packed so that tiles of any width can read them, and all entries of a program can share one copy.
"""


def plan_entry(analysis: EntryAnalysis, reused_layouts: Sequence[PanelLayout] = ()) -> EntryPlan:
    """Return the plan of an entry: memory, and how each kernel is computed, from the analysis of its groups.

    The plan reuses layouts in which another plan packs parameters, if possible.
    """
    return _Planner(analysis, reused_layouts).plan()


@dataclass(frozen=True)
class _Slots:
    """Memory of a chunk's values: ``depth`` buffers of ``steps`` steps each.

    A single worker uses all of them as one buffer, which must hold ``longest`` steps.
    """

    depth: int
    steps: int
    longest: int


@dataclass(frozen=True)
class _LaidOut:
    """Loop over time with memory for all its values, except for values within the steps of scans."""

    analysis: GroupAnalysis
    chunks: Chunks
    active: Active
    tables: tuple[TablePlan, ...]
    memory: GroupMemory
    states: Mapping[Kernel, tuple[State, ...]]
    region: Region
    depth: int


class _Planner:
    """Planner of the sections of an analysis, in order."""

    def __init__(self, analysis: EntryAnalysis, reused_layouts: Sequence[PanelLayout]) -> None:
        self.analysis, self.entry, self.target = analysis, analysis.entry, analysis.target
        graph, arguments = self.entry.graph, self.entry.arguments
        declared = {str(node["label"]): node.where for node in graph.inputs if node.where is not None}
        parameters = arguments.parameters
        origins = {buffer: declared[name] for buffer, name in parameters.items() if name in declared}
        total = sum(item.bytes for item in arguments.items if item.kind == "parameter")
        panels = Panels(parameters, reused_layouts, origins, are_cold=total >= SHARED_BYTES)
        self.allocation = Allocation(graph, self.entry.users, panels, dict(arguments.leaves))
        self.allocation.outputs = arguments.results
        self.lengths = RowLengths(graph)
        self.tables = RowTables(self.allocation, self.lengths, analysis.workers)

    def plan(self) -> EntryPlan:
        """Return the plan of the entry: all sections in order, the copies at its end, and the memory they share."""
        sections = [self._section(item) for item in self.analysis.sections]
        region = self._region()
        late = [
            CopyPlan(f"copy of {label_of(node)}", copy_partition(region, node), node, view)
            for node, view in self.entry.arguments.late
        ]
        sections.append(SectionPlan((GroupPlan((), region, tuple(late)),)))
        allocation = self.allocation
        memory = MemoryPlan(allocation.arena, allocation.panels, allocation.residuals)
        return EntryPlan(self.entry, self.analysis.workers.parts, tuple(sections), memory, self.analysis.work)

    def _region(self, group: GroupMemory | None = None) -> Region:
        """Return the region of a group, with the current memory of values."""
        memory, has_static_lengths = self.allocation.memory(group), self.analysis.has_static_lengths
        return Region(self.target, memory, workers=self.analysis.workers, has_static_lengths=has_static_lengths)

    def _section(self, section: SectionAnalysis) -> SectionPlan:
        """Return the plan of a section: a fusion group, or several whose scans are interleaved."""
        origin = origin_of(section.groups[0].kernels.group.nodes)
        if section.interleaving is not None:
            plan = SectionPlan(tuple(self._plan_interleaved(section)), origin, section.interleaving)
        else:
            (group,) = section.groups
            plan = SectionPlan((self._group(group),), origin)
        for item in section.groups:
            self.allocation.reuse.finished.update(item.kernels.group.nodes)
        return plan

    def _group(self, group: GroupAnalysis) -> GroupPlan:
        """Return the plan of a group without interleaved scans: prepared, run once, or a loop over time."""
        kind = group.kernels.group.kind
        if kind.prepared:
            return self._plan_prepared(group)
        return self._plan_once(group) if kind.length is None else self._time_loop(group)

    def _plan_prepared(self, group: GroupAnalysis) -> GroupPlan:
        """Return the plan of a group that runs only when parameters change, and keeps its memory between calls."""
        item, panels = group.kernels, self.allocation.panels
        memory = self.allocation.allocate(item.fused, item.leaving, scratch=panels.prepared)
        self.allocation.add_views(item.nodes)
        for node, views in memory.stores.items():
            if node.where is not None:
                panels.origins.update((view.buffer, node.where) for view in views)
        region = Region(self.target, self.allocation.memory(memory, panels.prepared))
        return GroupPlan(self._kernels(group, region), region, prepared=True)

    def _plan_once(self, group: GroupAnalysis) -> GroupPlan:
        """Return the plan of a group that runs once in each call, outside of loops over time."""
        item = group.kernels
        memory = self.allocation.allocate(item.fused, item.leaving)
        self.allocation.add_views(item.nodes)
        region = self._region(memory)
        return GroupPlan(self._kernels(group, region), region)

    @staticmethod
    def _kernels(group: GroupAnalysis, region: Region) -> tuple[KernelPlan, ...]:
        """Return the plans of a group's kernels, without scans."""
        return tuple(plan_kernel(region, kernel, partition) for kernel, partition in group.partitions.items())

    # Loops over time -----------------------------------------------------------------------------

    def _time_loop(self, group: GroupAnalysis) -> GroupPlan:
        """Return the plan of a group that is a loop over time, sequential or as a pipeline."""
        pipeline, slots = group.pipeline, None
        if pipeline is not None:
            slots = _Slots(BUFFER_DEPTH, pipeline.max_steps, group.longest)
        return self._plan_loop(self._laid_out(group, slots))

    def _plan_interleaved(self, section: SectionAnalysis) -> Iterator[GroupPlan]:
        """Yield the plans of time loops whose scans are interleaved, each of which has separate memory."""
        plan, loops = section.interleaving, list[_LaidOut]()
        assert plan is not None
        for group, depth in zip(section.groups, plan.depths, strict=True):
            loops.append(self._laid_out(group, _Slots(depth, plan.steps, plan.steps) if depth > 1 else None))
            # Later groups reuse the memory of this group's chunks, and recompute the indices that they read.
            self.allocation.end_group(loops[-1].memory, self.entry.fusion.free)
        for laid_out, phases in zip(loops, plan.phases, strict=True):
            yield self._plan_loop(laid_out, phases)

    def _laid_out(self, group: GroupAnalysis, slots: _Slots | None) -> _LaidOut:
        """Allocate memory for the values of a loop over time. Return it with the loop's chunks, carries and region."""
        item, allocation = group.kernels, self.allocation
        number, kind, fused = item.number, item.group.kind, item.fused
        assert kind.length is not None
        active, tables = self.tables.of_group(number, fused.kernels)
        spans = tuple((ended.table.span, ended.name) for ended in active.values())
        chunks = Chunks(number, kind.length, kind.reverse, group.longest, spans, group.is_first_short)
        allocation.reuse.in_blocks.update(kernel.first for kernel, scan in group.scans.items() if scan.blocks)
        memory = allocation.allocate(fused, item.leaving, chunks.time, one_block=self._kept_for_one_block(group))
        states = {
            kernel: carried_states(
                allocation, memory.histories, kernel.first, scan.body(kernel.first), scan.fused, scan.blocks
            )
            for kernel, scan in group.scans.items()
        }
        if slots is not None:
            allocation.multi_buffer(memory, size(chunks.slot), slots.steps, slots.longest, slots.depth)
        allocation.add_views(item.nodes)
        region = replace(self._region(memory), time=chunks.time)
        if group.pipeline is not None:
            region = replace(region, workers=ONE_WORKER)
        depth = 1 if slots is None else slots.depth
        return _LaidOut(group, chunks, active, tables, memory, states, region, depth)

    def _kept_for_one_block(self, group: GroupAnalysis) -> dict[tuple[Node, int], tuple[int, ...]]:
        """Return {(scan, carry's index): axes of size 1 in a block} of carries with stored values for one block only.

        The next scan is the only reader of these carries, and runs directly after each block.

        Returns:
            For each (scan, index of a carry): axes of the carry along which a block has a single position.
        """
        axes_of_one = dict[tuple[Node, int], tuple[int, ...]]()
        for earlier, kernel in pairwise(group.kernels.fused.kernels):
            if kernel not in group.scans or not group.scans[kernel].follows:
                continue
            scan, analysis = earlier.first, group.scans[earlier]
            assert analysis.blocks is not None
            readers = {user for get in self.entry.users[scan] for user in self.entry.users[get]}
            if readers == {kernel.first}:
                for index, carry in enumerate(ScanParts.of(scan).carries):
                    axes_of_one[scan, index] = analysis.blocks.axes_of_one(carry.inside, analysis.sharing.shared_axis)
        return axes_of_one

    def _plan_loop(self, laid_out: _LaidOut, phases: tuple[Phase, ...] = ()) -> GroupPlan:
        """Return the plan of a loop over time with allocated memory, and record where its scans' final carries are."""
        group, region, chunks, memory = laid_out.analysis, laid_out.region, laid_out.chunks, laid_out.memory
        item = group.kernels
        kernels = tuple(
            self._scan(laid_out, kernel)
            if kernel in group.scans
            else plan_kernel(region, kernel, group.partitions[kernel], self._active(kernel, laid_out.active))
            for kernel in item.fused.kernels
        )
        copies = tuple(self._copies(kernels, region))
        indices = self.entry.fusion.free
        buffers = loop_buffers(memory, chunks.time, indices, laid_out.depth)
        loop = TimeLoopPlan(chunks, buffers, phases=phases)
        if group.pipeline is not None:
            stages = group.pipeline.stages
            states = self.allocation.arena.buffer("states", "int64", len(stages))
            needs = stage_needs(stages, item.needs, region.memory, buffers)
            loop = replace(loop, pipeline=group.pipeline, states=states, stage_needs=needs)
        for scan in kernels:
            if isinstance(scan, ScanPlan):
                self.allocation.views.update(final_views(scan))
        self.allocation.end_group(memory, indices)
        return GroupPlan(kernels, region, copies, laid_out.tables, loop=loop)

    def _scan(self, laid_out: _LaidOut, kernel: Kernel) -> ScanPlan:
        """Return the plan of a scan in a loop over time, and allocate memory for values of a step."""
        analysis, item, node = laid_out.analysis.scans[kernel], laid_out.analysis.kernels, kernel.first
        results: dict[int, list[Node]] = {}
        for user in self.entry.users[node]:
            results.setdefault(user["index"], []).append(user)
        layout = ScanLayout(
            node,
            analysis.fused,
            laid_out.states[kernel],
            results,
            laid_out.region,
            self._active(kernel, laid_out.active),
            blocks=analysis.blocks,
        )
        is_shared = analysis.sharing.shared_axis is not None
        temporaries = {value: self._allocate_step_value(value, is_shared) for value in layout.unplaced()}
        tag = f"{item.number}_{item.nodes.index(node)}"
        plan = plan_scan(replace(layout, temporaries=temporaries), analysis.sharing, tag, self.lengths.unread)
        return replace(plan, follows=analysis.follows)

    def _allocate_step_value(self, value: Node, is_shared: bool) -> View:
        """Allocate memory for a value of one step; for each worker separately, if workers run different blocks."""
        contiguous = value.op == "reshape"
        if not is_shared:
            return self.allocation.temporary(value, value.shape, contiguous)
        shape = (self.analysis.workers.parts, *value.shape)
        return self.allocation.temporary(value, shape, contiguous).first_axis(WORKER)

    def _active(self, kernel: Kernel, active: Active) -> ActiveSteps | None:
        """Return the active steps and rows of a kernel; None if it computes all, because it has no mask or no table."""
        mask = self.tables.mask_of(kernel)
        return None if mask is None else active.get(mask)

    @staticmethod
    def _copies(kernels: Sequence[KernelPlan | ScanPlan], region: Region) -> Iterator[AnyCopyPlan]:
        """Yield the planned copies before a time loop: initial values of scans, and zeros for sums over time."""
        before, stores = before_loops(region), region.memory.stores
        for scan in kernels:
            if isinstance(scan, ScanPlan):
                yield from initial_copies(scan, before)
        for plan in kernels:
            if isinstance(plan, KernelPlan) and adds_up(plan.kernel.first):
                yield from _zero_fills(plan.kernel.first, stores, before)


def _zero_fills(node: Node, stores: Mapping[Node, Sequence[View]], before: Region) -> Iterator[CopyPlan]:
    """Yield planned copies that set the memory of a sum over time to zeros, before chunks add to it."""
    zeros = make("broadcast", zero(node.dtype), where=node.where, shape=node.shape, name=node.name)
    partition = copy_partition(before, zeros)
    for view in stores[node]:
        as_row = partition.serial and view.as_contiguous(node.shape) is not None
        yield CopyPlan(f"zeros {label_of(node)}", partition, zeros, view, node, as_row=as_row)
