"""First phase of scheduling: which ops run together, on which workers, at which estimated cost.

The estimates decide whether several workers pay, before memory and tiles are planned. They never change values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from ....ir.axes.by_size import lengths_of
from ....ir.graph import Graph, Node
from ....ir.types import Dim
from ....support.records import dataclass
from ...analysis.directions import check_blocks
from ...analysis.kernel_fusion import FusedKernels, Kernel, fuse_body
from ...analysis.loop_fusion import PLAIN, PREPARED
from ...analysis.residency import Residency
from ...analysis.row_independence import MIN_ROWS, Rowwise, rows_of
from ...cost_model.chunk_length import TimeChunk, chunk_length
from ...cost_model.interleaving import InterleavingPlan, LoopKernels, may_pay, plan_interleaving
from ...cost_model.pipelining import PipelinePlan, StageCost, plan_pipeline
from ...cost_model.work_sharing import SERIAL, Partition, Work, Workers, WorkSharing, per_chunk_overhead
from ...machine.target import Target
from .group_kernels import EntryGraph, GroupKernels, Numbered, both_directions, group_kernels
from .scan_blocks import ScanBlocks, follows_in_block, scan_blocks
from .scan_sharing import ScanSharing, share_blocks, share_scan


@dataclass(frozen=True)
class ScanAnalysis:
    """Kernels of one step of a scan, with their partitions.

    Attributes:
        fused: Kernels of a step.
        sharing: Division between workers.
        blocks: Division into blocks, if any; a step is then a step of one block.
        follows: True if each block runs directly after the same block of the previous scan.
    """

    fused: FusedKernels
    sharing: ScanSharing
    blocks: ScanBlocks | None = None
    follows: bool = False

    def body(self, scan: Node) -> Graph:
        """Return the body of a step."""
        body: Graph = scan["body"] if self.blocks is None else self.blocks.body
        return body


@dataclass(frozen=True)
class GroupAnalysis:
    """Fusion group, with the partitions of its kernels.

    Attributes:
        kernels: Kernels of the group.
        partitions: Partitions of all kernels except scans.
        scans: Analyses of the scans.
        longest: Maximum number of steps of a chunk, if the group is a loop over chunks of time.
        is_first_short: True if the first chunk may have fewer steps than the others, instead of the last.
        pipeline: Pipeline, if any. Its workers run whole kernels, instead of parts of each kernel.
    """

    kernels: GroupKernels
    partitions: Mapping[Kernel, Partition]
    scans: Mapping[Kernel, ScanAnalysis]
    longest: int = 0
    is_first_short: bool = False
    pipeline: PipelinePlan | None = None

    def in_pipeline(self, pipeline: PipelinePlan) -> GroupAnalysis:
        """Return this group with a pipeline, in which each kernel runs on one worker at a time."""
        scans = {kernel: replace(scan, sharing=scan.sharing.as_serial()) for kernel, scan in self.scans.items()}
        return replace(self, partitions=dict.fromkeys(self.partitions, SERIAL), scans=scans, pipeline=pipeline)


@dataclass(frozen=True)
class SectionAnalysis:
    """Fusion groups that run as one: a single group, or loops over time with interleaved scans.

    ``interleaving`` is None if no scans are interleaved; otherwise there may be one loop or several.
    """

    groups: tuple[GroupAnalysis, ...]
    interleaving: InterleavingPlan | None = None


@dataclass(frozen=True)
class EntryAnalysis:
    """Decisions about an entry that are made before memory is allocated.

    Attributes:
        workers: Workers between which the entry is split.
        sections: Sections in order of execution.
        max_chunk: Maximum number of steps of a chunk of time; None without a limit.
        has_static_lengths: True if all lengths of loops are known at compile time.
    """

    entry: EntryGraph
    target: Target
    workers: Workers
    sections: tuple[SectionAnalysis, ...]
    work: Work
    max_chunk: int | None
    has_static_lengths: bool

    def for_one_worker(self) -> EntryAnalysis:
        """Return the analysis of the same graph for one worker."""
        return _analysed(self.entry, self.target, 1, self.max_chunk)


def analyse(graph: Graph, target: Target, parts: int, max_chunk: int | None = None) -> EntryAnalysis:
    """Return what runs together, on which workers and at which cost, for a graph with known sizes but scans' lengths.

    Args:
        graph: The graph.
        target: The processor.
        parts: Number of parts of a kernel, and maximum number of workers.
        max_chunk: Maximum number of steps of a chunk of time; None without a limit.
    """
    return _analysed(EntryGraph.of(graph), target, parts, max_chunk)


def _analysed(entry: EntryGraph, target: Target, parts: int, max_chunk: int | None) -> EntryAnalysis:
    """Return the sections and the estimated work of a graph whose fusion groups and arguments are known."""
    analyst = _Analyst(entry, target, parts, max_chunk)
    sections = tuple(analyst.sections())
    has_static_lengths = not lengths_of(entry.graph)
    return EntryAnalysis(entry, target, analyst.workers, sections, analyst.work, max_chunk, has_static_lengths)


class _Analyst:
    """Analysis of the fusion groups of a graph, in order.

    All workers can read the values in ``synchronized``, because a barrier follows their computation.
    """

    def __init__(self, entry: EntryGraph, target: Target, parts: int, max_chunk: int | None) -> None:
        self.entry, self.target, self.max_chunk = entry, target, max_chunk
        rows = rows_of(entry.graph) if parts > 1 else 0
        rowwise = Rowwise(rows, self._is_shared) if rows >= MIN_ROWS * parts else None
        if rowwise is not None:
            replaced = entry.arguments.replaced
            rowwise.overwriting.update(node for name, node in entry.graph.outputs if name in replaced)
        self.workers = Workers(parts, rowwise)
        self.residency = Residency(entry.arguments.leaves, entry.fusion.free, entry.users)
        self.synchronized: set[Node] = set()
        self.work = Work()

    def sections(self) -> Iterable[SectionAnalysis]:
        """Yield analysed fusion groups in order of execution: each alone, or several whose scans are interleaved."""
        if self.workers.parts > 1:
            groups = [[item] for item in enumerate(self.entry.fusion.groups())]
        else:
            groups = both_directions(self.entry.fusion, self.target)
        for candidates in groups:
            yield from self._candidate_sections(candidates)

    def _is_shared(self, node: Node) -> bool:
        """True if every worker can read all of a value: it is free or prepared, or a barrier precedes its readers."""
        fusion = self.entry.fusion
        return node in fusion.free or node in self.synchronized or fusion.kind.get(node) == PREPARED

    def _synchronize(self, nodes: Iterable[Node], partition: Partition) -> None:
        """Record that all workers can read these values, if a barrier follows their kernel.

        No barrier follows a kernel that is split by rows.
        """
        if not partition.by_rows:
            self.synchronized.update(nodes)

    def _candidate_sections(self, groups: Sequence[Numbered]) -> Iterable[SectionAnalysis]:
        """Analyse fusion groups. Yield one section with all if interleaving their scans pays, else one for each.

        The scans of a single group, such as those of stacked layers, may be interleaved, too.
        """
        graph, late = self.entry.graph, self.entry.arguments.late_values
        kernels = [group_kernels(self.entry, item, self.residency.sources) for item in groups]
        for item in kernels:
            check_blocks(set(item.group.nodes), self.entry.users, {node for _, node in graph.outputs} | late)
        plan = self._interleaving(kernels) if self.workers.parts == 1 else None
        if plan is None and len(groups) > 1:
            for group in groups:
                yield from self._candidate_sections([group])
            return
        yield SectionAnalysis(tuple(self._group(item, plan) for item in kernels), plan)
        for item in kernels:
            self.residency.run(item.group, item.nodes, item.fused, item.leaving)

    def _interleaving(self, groups: Sequence[GroupKernels]) -> InterleavingPlan | None:
        """Return a plan that alternates steps of the groups' scans in a loop on one worker.

        Return None if that does not pay, if the groups have no loop over time, or if a scan is divided into blocks.
        """
        length = groups[0].group.kind.length
        scans = [scan for item in groups for scan in item.scans]
        if length is None or not may_pay(self.target, scans) or any(scan_blocks(self.target, scan) for scan in scans):
            return None
        loops = [LoopKernels(item.fused.kernels, item.needs, self._chunk_length(item, length)) for item in groups]
        return plan_interleaving(self.target, loops, length)

    def _chunk_length(self, item: GroupKernels, length: Dim) -> int:
        """Return the maximum number of steps of a chunk of a group's loop over time."""
        return chunk_length(self.target, item.fused, item.leaving, length, self.max_chunk)

    def _gains(self, item: GroupKernels) -> list[float]:
        """Return each kernel's speedup on a single worker that interleaves scans.

        An analysis for several workers needs the speedups to estimate the cycles of one worker. If interleaving does
        not pay, and in an analysis for one worker, all speedups are 1.
        """
        plan = self._interleaving([item]) if self.workers.parts > 1 else None
        if plan is None:
            return [1.0] * len(item.fused.kernels)
        return [plan.gains.get(place, 1.0) for _, place in plan.phases[0]]

    def _group(self, item: GroupKernels, interleaving: InterleavingPlan | None) -> GroupAnalysis:
        """Return the division between workers of a group that is prepared, runs once in a call, or is a time loop."""
        if item.group.kind == PREPARED:
            return GroupAnalysis(item, dict.fromkeys(item.fused.kernels, SERIAL), {})
        if item.group.kind == PLAIN:
            return self._plain(item)
        return self._time_loop(item, interleaving)

    def _plain(self, item: GroupKernels) -> GroupAnalysis:
        """Return the division between workers of a group without a loop over time, and add its cost to ``work``."""
        sharing, partitions = WorkSharing(self.target, self.workers), dict[Kernel, Partition]()
        for kernel in item.fused.kernels:
            partition = partitions[kernel] = sharing.partition(kernel)
            self.work = self.work.with_kernel(partition.per_step(1))
            self._synchronize(kernel.members, partition)
        return GroupAnalysis(item, partitions, {})

    def _time_loop(self, item: GroupKernels, interleaving: InterleavingPlan | None) -> GroupAnalysis:
        """Return chunk length, division between workers and pipeline of a time loop, and add its cost to ``work``."""
        kind, kernels = item.group.kind, item.fused.kernels
        assert kind.length is not None
        block = next((steps for kernel in kernels if (steps := kernel.first.get("blocks")) is not None), None)
        longest = block or self._chunk_length(item, kind.length)
        partitions, costs = self._estimate_kernels(
            item, TimeChunk(kind.length, 0, 0, kind.reverse, longest), block is not None
        )
        if interleaving is not None:
            return partitions
        pipeline = None
        if block is None:
            pipeline = plan_pipeline(costs, kind.length, longest, self.workers.parts)
        if pipeline is not None:
            partitions = partitions.in_pipeline(pipeline)
            for kernel in kernels:
                self._synchronize(self._computed(kernel), SERIAL)
        for cost, gain in zip(costs, self._gains(item), strict=True):
            estimate = cost.partition if pipeline is None else pipeline.estimate(cost.partition)
            estimate = replace(estimate, serial_cycles=estimate.serial_cycles / gain)
            self.work = self.work.with_kernel(estimate, kind.length)
        return partitions

    def _estimate_kernels(
        self, item: GroupKernels, time: TimeChunk, is_first_short: bool
    ) -> tuple[GroupAnalysis, list[StageCost]]:
        """Return a time loop with the division of its kernels between workers, and each kernel's cost, in order."""
        sharing, costs = WorkSharing(self.target, self.workers, time), list[StageCost]()
        partitions, scans = dict[Kernel, Partition](), dict[Kernel, ScanAnalysis]()
        for kernel in item.fused.kernels:
            if kernel.kind == "scan":
                blocks = scan_blocks(self.target, kernel.first)
                fused = fuse_body(kernel.first["body"] if blocks is None else blocks.body)
                if blocks is None:
                    shared = share_scan(self.target, self.workers, kernel.first, fused.kernels)
                else:
                    shared = share_blocks(self.target, self.workers.parts, blocks, fused.kernels)
                scans[kernel] = ScanAnalysis(fused, shared, blocks)
                self._synchronize(self._computed(kernel), shared.estimate)
                costs.append(StageCost(shared.estimate))
                continue
            partition = partitions[kernel] = sharing.partition(kernel)
            self._synchronize(kernel.members, partition)
            cost = partition.per_step(time.estimated_steps)
            costs.append(StageCost(cost, sharing.tile_steps(kernel), per_chunk_overhead(kernel)))
        if is_first_short:
            _join_blocks(scans, item.fused.kernels)
        return GroupAnalysis(item, partitions, scans, time.longest, is_first_short), costs

    def _computed(self, kernel: Kernel) -> Collection[Node]:
        """Return the values that a kernel computes: for a scan, its results."""
        return self.entry.users[kernel.first] if kernel.kind == "scan" else kernel.members


def _join_blocks(scans: dict[Kernel, ScanAnalysis], kernels: Sequence[Kernel]) -> None:
    """Set ``follows`` of each scan whose blocks can run directly after the same blocks of the previous scan.

    The previous scan's results for a block are then still in the cache.
    """
    for earlier, kernel in pairwise(kernels):
        one, other = scans.get(earlier), scans.get(kernel)
        if one is None or other is None or one.blocks is None or other.blocks is None:
            continue
        have_same_split = one.sharing.shared_axis == other.sharing.shared_axis
        if have_same_split and follows_in_block(kernel.first, other.blocks, earlier.first, one.blocks):
            scans[kernel] = replace(other, follows=True)
