"""From a graph to loop IR: one fusion group after the other is planned, laid out in memory and written.

``analysis``, which decides the order, looks at the graph alone; what comes after the schedule knows the loop IR alone.
Both IRs are seen here, in ``buffers`` and in ``kernels``.

Inside, sequences lie as [time][row][padded units]. Feeds are read through their strides; results are written
where the caller wants them. Temporaries live in one arena whose size is a formula.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ...ir.axes.by_size import lengths_of
from ...ir.axes.walk import adds_up
from ...ir.graph import Graph, Node, make
from ...ir.types import Dim, size
from ..analysis.directions import check_blocks
from ..analysis.kernel_fusion import FusedKernels, Kernel
from ..analysis.loop_fusion import PLAIN, PREPARED, LoopFusion
from ..analysis.node_kinds import label_of
from ..analysis.row_independence import FEWEST_ROWS, Rowwise, rows_of
from ..analysis.row_lengths import RowLengths
from ..buffers.allocation import Allocation, GroupMemory
from ..buffers.arena import extents
from ..buffers.packing import PanelLayout, Panels
from ..cost_model.chunk_length import chunk_length
from ..cost_model.interleaving import InterleavingPlan, LoopKernels, Phase, may_pay, plan_interleaving
from ..cost_model.pipelining import BUFFER_DEPTH, PipelinePlan, StageCost, plan_pipeline
from ..cost_model.work_sharing import ONE_WORKER, SERIAL, Partition, Work, Workers, per_chunk_overhead
from ..kernels.active_rows import ActiveSteps
from ..kernels.emit import origin_of
from ..kernels.kernel_plan import KernelPlan, plan_kernel
from ..kernels.region import Region
from ..loop_ir.effects import has_barrier
from ..loop_ir.functions import Entry, Function
from ..loop_ir.memory_check import check_memory
from ..loop_ir.nodes import Buffer, Statement
from ..loop_ir.renaming import free
from ..loop_ir.workers import TEAM
from ..machine.target import Target
from .arguments import Arguments
from .entry_writer import EntryWriter
from .group_kernels import GroupKernels, Numbered, both_directions, group_kernels
from .group_plan import CopyPlan, GroupPlan
from .interleaved_loop import TimeLoop, add_interleaved
from .kernel_calls import call_copy, call_kernel
from .plan import Plan
from .row_tables import Active, RowTables
from .scan import Scan, before_loops
from .ticks import COUNTERS, PACK, Ticks, Timed
from .time_loop import Chunks, add_pipeline


def schedule(
    graph: Graph, target: Target, name: str, parts: int = 1, alike: Sequence[PanelLayout] = (), timed: bool = False,
    max_chunk: int | None = None,
) -> Plan:  # fmt: skip
    """The plan for a graph whose sizes, but for lengths of scans, are known. parts: into how many kernels are cut, for
    as many workers at most. alike: how another plan packs parameters, which this one then does too if it can.
    timed: whether the entry counts what time its parts take. max_chunk: steps of a chunk of time, at most.
    """
    return _Scheduler(graph, target, name, parts, alike, Ticks(parts) if timed else None, max_chunk).plan()


@dataclass(frozen=True)
class _LoopKernels:
    """The kernels of a loop over time: its scans, how the others are cut, and what each of all takes, in order."""

    scans: dict[Kernel, Scan] = field(default_factory=dict)
    partitions: dict[Kernel, Partition] = field(default_factory=dict)
    costs: list[StageCost] = field(default_factory=list)


@dataclass(frozen=True)
class _PlannedLoop:
    """A loop over time that is laid out in memory. region: of a chunk."""

    item: GroupKernels
    chunks: Chunks
    active: Active
    memory: GroupMemory
    region: Region
    kernels: _LoopKernels


class _Scheduler:
    """Goes through the fusion groups of a graph, in order, and puts what they give into an entry.

    synchronized: values that are there for all workers, as a barrier stands behind what computes them.
    """

    def __init__(
        self, graph: Graph, target: Target, name: str, parts: int, alike: Sequence[PanelLayout], ticks: Ticks | None,
        max_chunk: int | None,
    ) -> None:  # fmt: skip
        self.graph, self.target, self.name, self.max_chunk = graph, target, name, max_chunk
        self.users = graph.users()
        self.fusion = LoopFusion(graph)
        self.arguments = Arguments(graph)
        views = self.arguments.leaves(self.fusion.free)
        parameters = {item.buffer: item.name for item in self.arguments.items if item.kind == "parameter"}
        declared = {str(node["label"]): node.where for node in graph.inputs if node.where is not None}
        origins = {buffer: declared[name] for buffer, name in parameters.items() if name in declared}
        panels = Panels(parameters, alike, origins)
        self.allocation = Allocation(graph, self.users, panels, views)
        self.writer = EntryWriter(panels, parts, ticks)
        rows = rows_of(graph) if parts > 1 else 0
        self.rowwise = Rowwise(rows, self._is_shared) if rows >= FEWEST_ROWS * parts else None
        self.tables = RowTables(self.writer, self.allocation, RowLengths(graph), Workers(parts, self.rowwise))
        self.is_step = not lengths_of(graph)
        self.work = Work()
        self.synchronized: set[Node] = set()
        self.groups: list[GroupPlan] = []

    def plan(self) -> Plan:
        self.allocation.outputs, late = self.arguments.outputs(self.fusion, self.users, self.allocation.views)
        if self.rowwise is not None:
            self.rowwise.apart.update(node for name, node in self.graph.outputs if name in self.arguments.replaced)
        if self.writer.parts == 1:
            groups = both_directions(self.fusion, self.target)
        else:
            groups = [[item] for item in enumerate(self.fusion.groups())]
        for together in groups:
            self._groups(together, {node for node, _ in late})
        region = self._region()
        copies = [call_copy(self.writer, region, node, view, f"copy of {label_of(node)}") for node, view in late]
        self.groups.append(GroupPlan((), copies=tuple(copies)))
        return self._finish()

    def _is_shared(self, node: Node) -> bool:
        """Whether a value is there before kernels run that are cut by rows."""
        return node in self.fusion.free or node in self.synchronized or self.fusion.kind.get(node) == PREPARED

    def _synchronize(self, nodes: Sequence[Node], partition: Partition) -> None:
        """Behind a kernel that is not cut by rows stands a barrier: what it gives may then be read whole."""
        if not partition.by_rows:
            self.synchronized.update(nodes)

    def _region(self, group: GroupMemory | None = None) -> Region:
        workers = Workers(self.writer.parts, self.rowwise)
        return Region(self.target, self.allocation.memory(group), workers=workers, is_step=self.is_step)

    # Fusion groups -------------------------------------------------------------------------------

    def _groups(self, groups: Sequence[Numbered], late: Collection[Node]) -> None:
        """Writes one group, or several as one loop if that pays."""
        found = [group_kernels(self.graph, self.users, self.fusion, self.allocation, item, late) for item in groups]
        for item in found:
            check_blocks(set(item.group.nodes), self.users, {node for _, node in self.graph.outputs} | set(late))
        plan = self._interleaving(found) if self.writer.parts == 1 else None
        if plan is None and len(groups) > 1:
            for single in groups:
                self._groups([single], late)
            return
        with self.writer.block.at(origin_of(found[0].group.nodes)):
            if plan is None:
                self._group(found[0])
            else:
                self._interleaved(found, plan)
        for item in found:
            self.allocation.reuse.finished.update(item.group.nodes)

    def _interleaving(self, groups: Sequence[GroupKernels]) -> InterleavingPlan | None:
        """How scans of groups run beside each other with one worker, if they do."""
        length = groups[0].group.kind.length
        scans = [scan for item in groups for scan in item.scans]
        if length is None or not may_pay(self.target, scans):
            return None
        loops = [LoopKernels(item.fused.kernels, item.nodes, self._chunk_length(item, length)) for item in groups]
        return plan_interleaving(self.target, loops, length)

    def _chunk_length(self, item: GroupKernels, length: Dim) -> int:
        return chunk_length(self.target, item.fused, item.leaving, length, self.max_chunk)

    def _gains(self, item: GroupKernels) -> list[float]:
        """How many times as fast one worker, who runs scans beside each other, is than estimated of each kernel."""
        plan = self._interleaving([item]) if self.writer.parts > 1 else None
        if plan is None:
            return [1.0] * len(item.fused.kernels)
        return [plan.gains.get(place, 1.0) for _, place in plan.phases[0]]

    def _group(self, item: GroupKernels) -> None:
        if item.group.kind == PREPARED:
            self._prepare(item.nodes, item.fused, item.leaving)
        elif item.group.kind == PLAIN:
            self._straight(item.nodes, item.fused, item.leaving)
        else:
            self._time_loop(item)

    def _prepare(self, nodes: Sequence[Node], fused: FusedKernels, leaving: Collection[Node]) -> None:
        """What depends on parameters alone is computed when they change, into memory that stays."""
        scratch = self.allocation.panels.prepared
        group = self.allocation.allocate(fused, leaving, scratch=scratch)
        self.allocation.add_views(nodes)
        for node, views in group.stores.items():
            if node.where is not None:
                self.allocation.panels.origins.update((view.buffer, node.where) for view in views)
        region = Region(self.target, self.allocation.memory(group, scratch))
        plans = tuple(plan_kernel(region, kernel, SERIAL) for kernel in fused.kernels)
        with self.writer.preparing():
            for plan in plans:
                call_kernel(self.writer, region, plan)
        self.groups.append(GroupPlan(plans, prepared=True))

    def _straight(self, nodes: Sequence[Node], fused: FusedKernels, leaving: Collection[Node]) -> None:
        """Kernels that run once, one after the other."""
        group = self.allocation.allocate(fused, leaving)
        self.allocation.add_views(nodes)
        region = self._region(group)
        plans: list[KernelPlan] = []
        for kernel in fused.kernels:
            partition = region.sharing.partition(kernel)
            self.work.add(partition.per_step(1))
            self._synchronize(kernel.members, partition)
            plans.append(plan_kernel(region, kernel, partition))
        for plan in plans:
            call_kernel(self.writer, region, plan)
        self.groups.append(GroupPlan(tuple(plans)))

    # Loops over time -----------------------------------------------------------------------------

    def _laid_out(self, item: GroupKernels, steps: int | None = None) -> _PlannedLoop:
        """A loop over time whose values have places. steps: of a chunk, where that is settled."""
        kind, number, fused = item.group.kind, item.number, item.fused
        assert kind.length is not None
        active = self.tables.of_group(number, fused.kernels)
        block = next((steps for kernel in fused.kernels if (steps := kernel.first.get("blocks")) is not None), None)
        longest = block or steps or self._chunk_length(item, kind.length)
        spans = tuple((ended.table.span, ended.name) for ended in active.values())
        chunks = Chunks(number, kind.length, kind.reverse, longest, spans, is_first_short=block is not None)
        memory = self.allocation.allocate(fused, item.leaving, chunks.time)
        region = replace(self._region(memory), time=chunks.time)
        tags = {node: f"{number}_{place}" for place, node in enumerate(item.nodes)}
        kernels = self._estimated(fused, region, memory, tags, active)
        return _PlannedLoop(item, chunks, active, memory, region, kernels)

    def _plans(self, planned: _PlannedLoop, region: Region) -> dict[Kernel, KernelPlan]:
        """The plans of all kernels but scans, once values have their last places."""
        self.allocation.add_views(planned.item.nodes)
        return {
            kernel: plan_kernel(region, kernel, partition, self._active(kernel, planned.active))
            for kernel, partition in planned.kernels.partitions.items()
        }

    def _begin(self, planned: _PlannedLoop, region: Region) -> list[CopyPlan]:
        """Writes what comes before the loop: initial values, and zeros for sums over time."""
        first, copies = before_loops(region), list[CopyPlan]()
        for scan in planned.kernels.scans.values():
            copies.extend(scan.begin(first))
        for kernel in planned.item.fused.kernels:
            if adds_up(kernel.first):
                copies.extend(self._clear(kernel.first, planned.memory))
        return copies

    def _end(
        self, planned: _PlannedLoop, plans: Mapping[Kernel, KernelPlan], copies: Sequence[CopyPlan],
        pipeline: PipelinePlan | None = None, phases: Sequence[Phase] = (),
    ) -> None:  # fmt: skip
        """Views of what the loop leaves behind, and its plan."""
        kernels = planned.kernels
        for scan in kernels.scans.values():
            scan.end()
        self.allocation.end_group(planned.memory, self.fusion.free)
        every = [
            plans[kernel] if kernel in plans else kernels.scans[kernel].plan for kernel in planned.item.fused.kernels
        ]
        self.groups.append(GroupPlan(tuple(every), False, planned.chunks, pipeline, tuple(copies), tuple(phases)))

    def _time_loop(self, item: GroupKernels) -> None:
        planned = self._laid_out(item)
        chunks, kernels, region, length = planned.chunks, planned.kernels, planned.region, planned.chunks.length
        pipeline = None
        if not chunks.is_first_short:
            pipeline = plan_pipeline(kernels.costs, length, chunks.longest, self.writer.parts)
        if pipeline is not None:
            self._make_serial(kernels)
            region = replace(region, workers=ONE_WORKER)
            slot = size(chunks.slot)
            self.allocation.multi_buffer(planned.memory, slot, pipeline.most, chunks.longest, BUFFER_DEPTH)
        plans, copies = self._plans(planned, region), list[CopyPlan]()
        emits = [partial(self._run, planned, region, plans, kernel) for kernel in item.fused.kernels]

        def begin() -> None:
            copies.extend(self._begin(planned, region))

        if pipeline is None:
            begin()
            self._loop(chunks, emits)
        else:
            add_pipeline(self.writer, pipeline, planned.memory, chunks, self._states, begin, emits)
        for cost, gain in zip(kernels.costs, self._gains(item), strict=True):
            estimate = cost.partition if pipeline is None else pipeline.estimate(cost.partition)
            self.work.add(replace(estimate, serial_cycles=estimate.serial_cycles / gain), length)
        self._end(planned, plans, copies, pipeline)

    def _run(
        self, planned: _PlannedLoop, region: Region, plans: Mapping[Kernel, KernelPlan], kernel: Kernel
    ) -> None:  # fmt: skip
        """Writes a kernel for the present chunk."""
        if kernel in planned.kernels.scans:
            planned.kernels.scans[kernel].run(planned.chunks.done)
        else:
            call_kernel(self.writer, region, plans[kernel])

    def _interleaved(self, groups: Sequence[GroupKernels], plan: InterleavingPlan) -> None:
        """Several scans beside each other, of one group or of several."""
        loops, plans = list[_PlannedLoop](), list[dict[Kernel, KernelPlan]]()
        for item, depth in zip(groups, plan.depths, strict=True):
            planned = self._laid_out(item, plan.steps)
            if depth > 1:
                slot = size(planned.chunks.slot)
                self.allocation.multi_buffer(planned.memory, slot, plan.steps, plan.steps, depth)
            loops.append(planned)
            plans.append(self._plans(planned, planned.region))
            self.allocation.end_group(planned.memory, self.fusion.free)  # the next group stores indices of its own
        copies = [self._begin(planned, planned.region) for planned in loops]
        written = [
            TimeLoop(
                planned.chunks, planned.memory, self.fusion.free, planned.item.fused.kernels, planned.kernels.scans,
                partial(self._run, planned, planned.region, plans_of),
            )
            for planned, plans_of in zip(loops, plans, strict=True)
        ]  # fmt: skip
        add_interleaved(self.writer, plan, written)
        for number, planned in enumerate(loops):
            self._end(planned, plans[number], copies[number], phases=plan.phases[number])

    def _estimated(
        self, fused: FusedKernels, region: Region, group: GroupMemory, tags: Mapping[Node, str], active: Active
    ) -> _LoopKernels:  # fmt: skip
        """How each kernel of a loop would be cut, and what that takes. tags: of names in the entry."""
        found, sharing, unread = _LoopKernels(), region.sharing, self.tables.lengths.unread
        assert region.time is not None
        for kernel in fused.kernels:
            node = kernel.first
            if kernel.kind == "scan":
                steps = self._active(kernel, active)
                scan = Scan(self.writer, self.allocation, region, group, node, tags[node], unread, steps)
                found.scans[kernel] = scan
                self._synchronize(self.users[node], scan.sharing.estimate)
                found.costs.append(StageCost(scan.sharing.estimate))
                continue
            partition = found.partitions[kernel] = sharing.partition(kernel)
            self._synchronize(kernel.members, partition)
            cost = partition.per_step(region.time.estimated_steps)
            found.costs.append(StageCost(cost, sharing.tile_steps(kernel), per_chunk_overhead(kernel)))
        return found

    def _make_serial(self, kernels: _LoopKernels) -> None:
        """Each kernel becomes one worker's: the loop is a pipeline."""
        for kernel in kernels.partitions:
            kernels.partitions[kernel] = SERIAL
            self._synchronize(kernel.members, SERIAL)
        for kernel, scan in kernels.scans.items():
            scan.make_serial()
            self._synchronize(self.users[kernel.first], SERIAL)

    def _active(self, kernel: Kernel, active: Active) -> ActiveSteps | None:
        """The steps and rows that a kernel computes, where it need not compute all."""
        mask = self.tables.mask_of(kernel)
        return None if mask is None else active.get(mask)

    def _loop(self, chunks: Chunks, emits: Sequence[Callable[[], None]]) -> None:
        """All kernels of one chunk one after the other, and then the next chunk."""
        writer = self.writer
        if writer.unsynchronized:  # what runs at the end of a chunk, the next one must not meet
            writer.barrier()
        body = writer.block.nested()
        with writer.into(body):
            body.statements += chunks.head(chunks.longest)
            for emit in emits:
                emit()
            if writer.unsynchronized == "other" or has_barrier(body.statements):
                writer.barrier()
        writer.block.add(chunks.loop(body.statements))

    def _states(self, count: int) -> Buffer:
        """Memory for the states of a pipeline's stages."""
        return self.allocation.arena.buffer("states", "int64", count)

    def _clear(self, node: Node, group: GroupMemory) -> Iterator[CopyPlan]:
        """Zeros, before the first chunk adds to a sum over time."""
        zero = make("constant", value=np.zeros((), node.dtype))
        zeros = make("broadcast", zero, where=node.where, shape=node.shape, name=node.name)
        for view in group.stores[node]:
            yield call_copy(self.writer, self._region(), zeros, view, f"zeros {label_of(node)}", node)

    # The entry -----------------------------------------------------------------------------------

    def _timed_packing(self, statements: Sequence[Statement], ticks: Ticks) -> Iterator[Statement]:
        """Statements that pack, each counted for the first parameter that it packs; what reads
        none, with the next one.
        """
        nodes = {str(node["label"]): node for node in self.graph.inputs if node.op == "parameter"}
        of = {item.buffer: nodes[item.name] for item in self.arguments.items if item.kind == "parameter"}
        for statement in statements:
            yield statement
            if packed := [of[buffer] for buffer in statement.uses().reads if buffer in of]:
                yield ticks.count(ticks.of(Timed(PACK, tuple(packed[:1]), "packs weights")))

    def _finish(self) -> Plan:
        writer, arguments, arena = self.writer, self.arguments, self.allocation.arena
        panels, statements, ticks = self.allocation.panels, tuple(writer.block.statements), writer.ticks
        sizes = [name for name in self.graph.symbols if not name.startswith("_")]
        strides = [name for names in arguments.strides.values() for name in names]
        slots = list(dict.fromkeys(item.buffer.name for item in arguments.items))
        slots = [*slots, "arena", "panels", TEAM.name, *sizes, *strides, *([] if ticks is None else [COUNTERS.name])]
        arena.place(statements)
        places: dict[Buffer, tuple[str, Dim]] = {item.buffer: (item.buffer.name, 0) for item in arguments.items}
        places[TEAM] = (TEAM.name, 0)
        places.update(arena.places)
        places.update({buffer: ("panels", offset) for buffer, offset in panels.offsets.items()})
        pack = panels.pack_function(f"{self.name}_pack", writer.preparation)
        if ticks is not None:
            places[COUNTERS] = (COUNTERS.name, 0)
            statements = (ticks.begin(), *statements, ticks.count(ticks.rest))
            pack = replace(pack, body=(ticks.begin(), *self._timed_packing(pack.body, ticks)))
        used, packed = free(statements)[0], free(pack.body)[0]
        main = Function(self.name, used, (*sizes, *strides), statements, "the entry")
        functions = (*writer.functions.values(), *panels.functions)
        results = [item.buffer for item in arguments.items if item.kind == "output" and 0 not in item.shape]
        check_memory(self.name, statements, functions, extents(arena), results)

        def entry(function: Function) -> Entry:
            return Entry(function.name, function, tuple(slots), {buffer: places[buffer] for buffer in function.buffers})

        return Plan(
            functions, entry(main), entry(replace(pack, buffers=packed)), tuple(arguments.items), tuple(sizes),
            arguments.strides, arena, self.allocation.residuals, panels.total, writer.parts, self.work,
            tuple(self.groups), panels.layouts(), panels.shrinking, ticks,
        )  # fmt: skip
