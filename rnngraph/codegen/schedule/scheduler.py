"""From a graph to loop IR: where every value lies, what runs in which loop.

``stages`` and ``phases``, which decide the order, look at the graph alone. Both IRs are seen here, in ``scans``,
in ``evaluate`` and in the modules of kernels: ``kernels``, ``nests``, ``products``, ``outer_sums``, ``scatter_adds``
and ``reductions``.
What comes after them knows the loop IR alone.

Inside, sequences lie as [time][row][padded units]. Feeds are read through their strides; results are written
where the caller wants them. Temporaries live in one arena whose size is a formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ...ir.graph import Graph, Node, make
from ...ir.scan import split_inputs
from ...ir.types import Dim, size
from ..analysis.kernel_fusion import Phases, Step, cut, is_view, picks_step, stays_view
from ..analysis.loop_fusion import PLAIN, PREPARED, Stage, Staging, adds_up
from ..analysis.row_independence import FEWEST_ROWS, Rowwise, rows_of
from ..analysis.row_lengths import Limits
from ..buffers.allocation import Places
from ..buffers.arena import Arena
from ..buffers.buffer_reuse import TakenOver
from ..buffers.output_buffers import Targets
from ..buffers.packing import Panels
from ..buffers.views import View
from ..cost_model.chunk_length import chunk_length
from ..cost_model.pipelining import Part, line_of
from ..cost_model.work_sharing import UNSHARED, Cut, Work, anew, cut_of, steps_at_once, turns_of
from ..kernels import emit as kernels
from ..kernels.active_rows import Masks
from ..kernels.loop_nests import Region
from ..kernels.values import label_of, view_through
from ..llvm.module import Entry
from ..loop_ir.builder import Block
from ..loop_ir.memory_check import check_memory
from ..loop_ir.nodes import Buffer, Function, Index
from ..loop_ir.renaming import free
from ..machine.target import Target
from ..threads.barrier import TEAM, waits
from .plan import Argument, Plan
from .scan import Scan, before_loops
from .time_loop import Chunks, add_pipeline, in_slots


def schedule(graph: Graph, target: Target, name: str, parts: int = 1) -> Plan:
    """The plan for a graph whose sizes, but for lengths of scans, are known. parts: into how many kernels are cut, for
    as many workers at most.
    """
    return _Scheduler(graph, target, name, parts).plan()


class _Scheduler(Places):
    def __init__(self, graph: Graph, target: Target, name: str, parts: int) -> None:
        self.graph, self.target, self.name = graph, target, name
        self.arguments: list[Argument] = []
        self.strides: dict[str, tuple[str, ...]] = {}
        self.replaced: dict[str, Node] = {}
        self.views: dict[Node, View] = {}
        self.order = {node: number for number, node in enumerate(graph.nodes)}
        self.users = graph.users()
        self.arena = Arena()
        self.preparation = Block()
        self.residuals: Dim = 0
        self.work = Work()
        self.settled: set[Node] = set()
        self.taken_over = TakenOver(graph, self.users)
        self.staging = Staging(graph)
        self.masks = Masks(self, Limits(graph))
        rows = rows_of(graph) if parts > 1 else 0
        self.rowwise = Rowwise(rows, self._is_shared) if rows >= FEWEST_ROWS * parts else None
        self.targets: dict[Node, list[View]] = {}
        self._leaves()
        super().__init__(Panels([item.buffer for item in self.arguments if item.kind == "parameter"]), parts)

    def _is_shared(self, node: Node) -> bool:
        """Whether a value is there before kernels run that are cut by rows."""
        return node in self.staging.free or node in self.settled or self.staging.kind.get(node) == PREPARED

    def _settle(self, nodes: Sequence[Node], cut: Cut) -> None:
        """Behind a kernel that is not cut by rows stands a barrier: what it gives may then be read whole."""
        if not cut.by_rows:
            self.settled.update(nodes)

    # Arguments -----------------------------------------------------------------------------------

    def _argument(self, name: str, kind: str, node: Node, value: np.ndarray | None = None) -> Argument:
        prefix = {"input": "in", "parameter": "w", "constant": "const", "output": "out"}[kind]
        buffer = Buffer(f"{prefix}{len(self.arguments)}_{label_of(node)}", node.dtype)
        argument = Argument(name, kind, node.dtype, node.shape, buffer, value)
        self.arguments.append(argument)
        return argument

    def _leaves(self) -> None:
        for node in self.graph.nodes:
            if node.op == "input":
                self._feed(node)
            elif node.op == "parameter":
                argument = self._argument(str(node["label"]), "parameter", node)
                self.views[node] = View.contiguous(argument.buffer, node.shape)
            else:
                self._constant(node)
        for inner in self.graph.walk():
            if inner not in self.views:
                self._constant(inner)
        for node in self.graph.nodes:
            if is_view(node) and node in self.staging.free and node.operands[0] in self.views:
                view = view_through(node, self.views[node.operands[0]])
                if view is not None:
                    self.views[node] = view

    def _constant(self, node: Node) -> None:
        if node.op == "constant" and node.tensor.rank:
            argument = self._argument(f"constant{len(self.arguments)}", "constant", node, node["value"])
            self.views[node] = View.contiguous(argument.buffer, node.shape)

    def _feed(self, node: Node) -> None:
        argument = self._argument(str(node["label"]), "input", node)
        if "becomes" in dict(node.attributes):
            self.strides[argument.name] = ()
            self.views[node] = View.contiguous(argument.buffer, node.shape)
            self.replaced[str(node["becomes"])] = node
            return
        names = tuple(f"{argument.buffer.name}_stride{axis}" for axis in range(max(0, node.tensor.rank - 1)))
        self.strides[argument.name] = names
        strides: tuple[Index, ...] = (*map(size, names), 1) if node.tensor.rank else ()
        self.views[node] = View(argument.buffer, 0, strides, node.shape)

    # Outputs -------------------------------------------------------------------------------------

    def _outputs(self) -> list[tuple[Node, View]]:
        """Decides which outputs are written where they are computed; the others are copied at the end."""
        late: list[tuple[Node, View]] = []
        last: list[tuple[Node, View]] = []  # these take the place of what others are copied from
        targets = Targets(self.graph, self.staging, self.users)
        for name, node in self.graph.outputs:
            old = self.replaced.get(name)
            if old is None:
                buffer = self._argument(name, "output", node).buffer
            else:
                buffer = self.views[old].buffer
                self.arguments.append(Argument(name, "output", node.dtype, node.shape, buffer))
            view = View.contiguous(buffer, node.shape)
            if not targets.take(node, view, old):
                (late if old is None else last).append((node, view))
            if old is not None and self.rowwise is not None:
                self.rowwise.apart.add(node)
        self.targets = targets.places
        return late + last

    # Stages --------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        late = self._outputs()
        stages = self.staging.stages()
        needed_late = {node for node, _ in late}
        for number, stage in enumerate(stages):
            self._stage(number, stage, needed_late)
            self.taken_over.finished.update(stage.nodes)
        region = self._region()
        for node, view in late:
            self.copy_kernel(region, node, view, f"copy of {label_of(node)}")
        return self._finish()

    def _region(self) -> Region:
        parts = 1 if self.preparing else self.parts
        rowwise = None if self.preparing else self.rowwise
        return Region(self.target, self.panels, self.scratch, self.views, parts=parts, rowwise=rowwise)

    def copy_kernel(self, region: Region, node: Node, view: View, comment: str) -> None:
        cut = cut_of(region, Step(0, "phase", node.shape, [node]))
        self.kernel(
            lambda block: kernels.copy_to(region, block, node, [view]), comment, cut.by_rows, cut.axis is None
        )  # fmt: skip

    def _stage(self, number: int, stage: Stage, late: set[Node]) -> None:
        inside = set(stage.nodes)
        users = self.users
        outputs = {node for _, node in self.graph.outputs} | late
        leaving = {
            node
            for node in stage.nodes
            if node in outputs or node in self.targets or any(user not in inside for user in users[node])
        }
        nodes = self.staging.closure(stage.nodes)
        chunked = stage.kind != PLAIN
        copies = {node for node in nodes if self._must_copy(node, stage)}
        for node in reversed(stage.nodes):  # a view that leaves takes what it is a view of along
            if node in leaving and is_view(node) and node not in copies:
                leaving.update(item for item in node.operands if item in inside)
        joins = frozenset(node for node in stage.nodes if node in self.staging.joins and node not in leaving)
        cutting = cut(nodes, leaving, set(self.views), copies, joins)
        if stage.kind == PREPARED:
            self._prepare(nodes, cutting, leaving)
            return
        if not chunked:
            region = self._region()
            self.allocate(region, cutting, leaving, 0)
            self.add_views(nodes, region)
            for step in cutting.steps:
                estimate = cut_of(region, step)
                self.work.add(estimate.of_one(1))
                self._settle(step.members, estimate)
                self._step(region, step, self.block)
            return
        self._chunks(number, stage, nodes, cutting, leaving)

    def _prepare(self, nodes: Sequence[Node], cutting: Phases, leaving: set[Node]) -> None:
        """What depends on parameters alone is computed when they change, into memory that stays."""
        main, self.block, self.preparing = self.block, self.preparation, True
        region = self._region()
        self.allocate(region, cutting, leaving, 0)
        self.add_views(nodes, region)
        for step in cutting.steps:
            self._step(region, step, self.block)
        self.block, self.preparing = main, False

    def _must_copy(self, node: Node, stage: Stage) -> bool:
        """Movement ops that strides can't express, or that pick one step out of a chunked sequence."""
        if not is_view(node) or node in self.views:
            return False
        if picks_step(node, stage.kind.length):
            return True
        if node.op == "reshape":
            return not stays_view(node)
        if node.op != "transpose":
            return False
        right = [user for user in self.users[node] if user.op == "matmul" and user.operands[1] is node]
        return bool(right) or self._is_turned_for_steps(node)

    def _is_turned_for_steps(self, node: Node) -> bool:
        """Whether every step of a loop reads what is turned so that its units lie apart, as an attention's keys."""
        order = node["order"]
        users = [user for user in self.users[node] if user.op == "scan"]
        return order[-1] != len(order) - 1 and any(node in split_inputs(user, user.operands)[2] for user in users)

    def _chunks(self, number: int, stage: Stage, nodes: Sequence[Node], cutting: Phases, leaving: set[Node]) -> None:
        length, reverse = stage.kind.length, stage.kind.reverse
        assert length is not None
        running = self.masks.of_stage(number, cutting.steps)
        longest = chunk_length(self.target, cutting, leaving, length)
        chunks = Chunks(number, length, reverse, longest, tuple((tables.span, run) for tables, run in running.values()))
        start, steps = size(chunks.start), size(chunks.steps)
        region = replace(self._region(), length=length, start=start, steps=steps, reverse=reverse)
        region.longest = chunks.longest
        self.allocate(region, cutting, leaving, chunks.longest)
        scans: dict[Node, Scan] = {}
        parts: list[Part] = []
        for step in cutting.steps:
            if step.kind == "scan":
                scan = scans[step.members[0]] = Scan(self, region, step.members[0], number, nodes, self.masks, running)
                self._settle(self.users[scan.node], scan.work)
                parts.append(Part(scan.work))
            else:
                cut = cut_of(region, step)
                self._settle(step.members, cut)
                parts.append(Part(cut.of_one(turns_of(region)), steps_at_once(region, step), anew(step)))
        line = line_of(parts, length, chunks.longest, self.parts)
        if line is not None:
            in_slots(region, self.arena, line, chunks)
            for step in cutting.steps:
                self._settle(self.users[step.members[0]] if step.kind == "scan" else step.members, UNSHARED)
        self.add_views(nodes, region)

        def begin() -> None:
            first = before_loops(region)
            for scan in scans.values():
                scan.begin(first)
            for step in cutting.steps:
                if adds_up(step.members[0]):
                    self._clear(step.members[0], region)

        def run(step: Step) -> None:
            if step.kind == "scan":
                scans[step.members[0]].run(size(chunks.chunk))
            else:
                self._step(self.masks.part_of(region, step, running), step, self.block)

        runs = [partial(run, step) for step in cutting.steps]
        if line is None:
            begin()
            self._loop(chunks, runs)
        else:
            for scan in scans.values():
                scan.be_alone()
            add_pipeline(self, self.arena, line, region, chunks, begin, runs)
        for part in parts:
            self.work.add(part.cut if line is None else line.share(part.cut), length)
        for scan in scans.values():
            scan.end()
        # What lies in memory of one chunk is gone, and an index that chunks store was not stored where there was none:
        # a later stage that reads such an index or mask computes it anew.
        indices = {view.buffer for node in region.stores if node in self.staging.free for view in region.stores[node]}
        self.views = {node: view for node, view in self.views.items() if not (view.local or view.buffer in indices)}

    def _loop(self, chunks: Chunks, runs: Sequence[Callable[[], None]]) -> None:
        """All steps of one chunk after the other, and then the next chunk."""
        if self.since:  # what runs at the end of a chunk, the next one must not meet
            self.barrier()
        outer, self.block = self.block, self.block.nested()
        self.block.statements += chunks.head(chunks.longest)
        for run in runs:
            run()
        if self.since == "other" or waits(self.block.statements):
            self.barrier()
        inner, self.block = self.block.statements, outer
        self.block.add(chunks.loop(inner))

    def _clear(self, node: Node, region: Region) -> None:
        """Zeros, before the first chunk adds to a sum over time."""
        zero = make("constant", value=np.zeros((), node.dtype))
        zeros = make("broadcast", zero, shape=node.shape, name=node.name)
        for view in region.stores[node]:
            self.copy_kernel(self._region(), zeros, view, f"zeros {label_of(node)}")

    # Kernels -------------------------------------------------------------------------------------

    def _step(self, region: Region, step: Step, block: Block) -> None:
        names = ", ".join(dict.fromkeys(label_of(node) for node in step.members if node in region.stores))
        where = next((str(node.where) for node in step.members if node.where), "")
        comment = f"{step.kind} {names}  {where}".strip()
        if step.kind == "outer_sum":
            self.outer_sum(region, block, step.members[0], comment)
            return
        cut = cut_of(region, step)
        self.kernel(lambda inner: kernels.emit_step(region, inner, step), comment, cut.by_rows, cut.axis is None)

    # The entry -----------------------------------------------------------------------------------

    def _finish(self) -> Plan:
        statements = tuple(self.block.statements)
        sizes = [name for name in self.graph.symbols if not name.startswith("_")]
        stride_names = [name for names in self.strides.values() for name in names]
        slots = list(dict.fromkeys(item.buffer.name for item in self.arguments))
        slots = [*slots, "arena", "panels", TEAM.name, *sizes, *stride_names]
        places: dict[Buffer, tuple[str, Dim]] = {item.buffer: (item.buffer.name, 0) for item in self.arguments}
        self.arena.place(statements)
        places[TEAM] = (TEAM.name, 0)
        places.update(self.arena.places)
        places.update({buffer: ("panels", offset) for buffer, offset in self.panels.offsets.items()})
        used, _ = free(statements)
        main = Function(self.name, used, (*sizes, *stride_names), statements, "the entry")
        pack = self.panels.pack_function(f"{self.name}_pack", self.preparation)
        packed, _ = free(pack.body)
        functions = (*self.functions.values(), *self.panels.functions)
        check_memory(self.name, statements, functions, self.arena)
        return Plan(
            functions,
            Entry(self.name, main, tuple(slots), {buffer: places[buffer] for buffer in used}),
            Entry(
                f"{self.name}_pack",
                replace(pack, buffers=packed),
                tuple(slots),
                {b: places[b] for b in packed},
            ),
            tuple(self.arguments),
            tuple(sizes),
            self.strides,
            self.arena,
            self.residuals,
            self.panels.total,
            self.parts,
            self.work,
        )
