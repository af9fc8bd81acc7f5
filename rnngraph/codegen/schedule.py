"""From a graph to loop IR: where every value lies, what runs in which loop.

``stages`` and ``phases``, which decide the order, look at the graph alone. Both IRs are seen here, in ``scans``,
in ``evaluate`` and in the modules of kernels: ``kernels``, ``nests``, ``products``, ``outer_sums``, ``scatter_adds``
and ``reductions``.
What comes after them knows the loop IR alone.

Inside, sequences lie as [time][row][padded units]. Feeds are read through their strides; results are written
where the caller wants them. Temporaries live in one arena whose size is a formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..ir.graph import Graph, Node, make
from ..ir.types import Dim, Shape, product, size
from . import kernels
from .arena import Arena, padded_row
from .chunks import LONGEST_CHUNK, chunk_length
from .evaluate import label_of, view_through
from .llvm import Entry
from .loops import Block, Buffer, For, Function, Index, LetIndex
from .loops_names import free
from .nests import Region
from .panels import Panels
from .phases import Phases, Step, cut, is_view, picks_step, stays_view
from .plan import Argument, Plan
from .rowwise import FEWEST_ROWS, Rowwise, rows_of
from .scans import Scan, tracks_of
from .sharing import Cut, Work, cut_of, turns_of
from .stages import PLAIN, PREPARED, Stage, Staging, adds_up
from .target import Target
from .targets import Targets
from .team import TEAM, waits
from .views import View
from .writer import Writer


def schedule(graph: Graph, target: Target, name: str, parts: int = 1) -> Plan:
    """The plan for a graph whose sizes, but for lengths of scans, are known. parts: into how many kernels are cut, for
    as many workers at most.
    """
    return _Scheduler(graph, target, name, parts).plan()


class _Scheduler(Writer):
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
        self.staging = Staging(graph)
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
        region = self._region()
        for node, view in late:
            self.copy_kernel(region, node, view, f"copy of {label_of(node)}")
        return self._finish()

    def _region(self) -> Region:
        parts = 1 if self.preparing else self.parts
        rowwise = None if self.preparing else self.rowwise
        return Region(self.target, self.panels, self.scratch, self.views, parts=parts, rowwise=rowwise)

    def copy_kernel(self, region: Region, node: Node, view: View, comment: str) -> None:
        by_rows = cut_of(region, Step(0, "phase", node.shape, [node])).by_rows
        self.kernel(lambda block: kernels.copy_to(region, block, node, [view]), comment, by_rows)

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
            self._allocate(region, cutting, leaving, 0)
            self._views(nodes, region)
            for step in cutting.steps:
                estimate = cut_of(region, step)
                self.work.add(estimate)
                self._settle(step.members, estimate)
                self._step(region, step, self.block)
            return
        self._chunks(number, stage, nodes, cutting, leaving)

    def _prepare(self, nodes: Sequence[Node], cutting: Phases, leaving: set[Node]) -> None:
        """What depends on parameters alone is computed when they change, into memory that stays."""
        main, self.block, self.preparing = self.block, self.preparation, True
        region = self._region()
        self._allocate(region, cutting, leaving, 0)
        self._views(nodes, region)
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
        right = [user for user in self.users[node] if user.op == "matmul" and user.operands[1] is node]
        return node.op == "transpose" and bool(right)

    def _chunks(self, number: int, stage: Stage, nodes: Sequence[Node], cutting: Phases, leaving: set[Node]) -> None:
        length, reverse = stage.kind.length, stage.kind.reverse
        assert length is not None
        inner = self.block.nested()
        chunk, steps, start = f"chunk{number}", f"steps{number}", f"start{number}"
        region = replace(self._region(), length=length, start=size(start), steps=size(steps), reverse=reverse)
        outer, self.block = self.block, inner
        longest = chunk_length(self.target, cutting, leaving, length)
        region.longest = longest
        self._allocate(region, cutting, leaving, longest)
        self._views(nodes, region)
        scans: dict[Node, Scan] = {}
        for step in cutting.steps:
            if step.kind == "scan":
                scan = scans[step.members[0]] = Scan(self, region, step.members[0], number, nodes)
                self._settle(self.users[scan.node], scan.work)
            else:
                self._settle(step.members, cut_of(region, step))
        self.block = outer
        for scan in scans.values():
            scan.begin()
        for step in cutting.steps:
            if adds_up(step.members[0]):
                self._clear(step.members[0], region)
        if self.since:  # what runs at the end of a chunk, the next one must not meet
            self.barrier()
        self.block = inner
        self.block.add(LetIndex(steps, "min", length - size(chunk), longest))
        first = length - size(chunk) - size(steps) if reverse else size(chunk)
        self.block.add(LetIndex(start, "max", first, 0))
        for step in cutting.steps:
            if step.kind == "scan":
                self.work.add(scans[step.members[0]].work, length)
                scans[step.members[0]].run(size(chunk))
            else:
                self.work.add(cut_of(region, step), length, turns_of(region))
                self._step(region, step, self.block)
        if self.since == "other" or waits(inner.statements):
            self.barrier()
        self.block = outer
        words = "backward" if reverse else "forward"
        self.block.add(
            For(chunk, 0, length, longest, tuple(inner.statements), f"time, {words}, {longest} steps at a time"
                if longest < LONGEST_CHUNK else f"time, {words}, all steps at once")
        )  # fmt: skip
        for scan in scans.values():
            scan.end()
        # What lies in memory of one chunk is gone; a later stage that reads such an index or mask computes it anew.
        self.views = {node: view for node, view in self.views.items() if not view.local}

    def _clear(self, node: Node, region: Region) -> None:
        """Zeros, before the first chunk adds to a sum over time."""
        zero = make("constant", value=np.zeros((), node.dtype))
        zeros = make("broadcast", zero, shape=node.shape, name=node.name)
        for view in region.stores[node]:
            self.copy_kernel(self._region(), zeros, view, f"zeros {label_of(node)}")

    def _allocate(self, region: Region, cutting: Phases, leaving: set[Node], longest: int) -> None:
        """A place for every value that must be in memory."""
        for step in cutting.steps:
            if step.kind == "scan":
                self._tracks(region, step.members[0], cutting.stored, leaving)
        for node in sorted(cutting.stored, key=self.order.__getitem__):
            if node.op == "scan" or node in region.stores:
                continue
            whole = node in leaving or region.length is None
            if node in self.targets and not self.preparing:
                self.views[node] = self.targets[node][0]
                region.stores[node] = list(self.targets[node])
                continue
            shape = node.shape
            timed = region.length is not None and len(shape) > 1 and shape[0] == region.length
            if timed and not whole:
                shape = (longest, *shape[1:])
            view = self.temporary(node, shape, contiguous=node.op == "reshape")
            if timed and not whole:
                view = replace(view, local=True, shape=node.shape)
            elif timed and not self.preparing:
                self.residuals = self.residuals + self.arena.sizes[view.buffer]
            self.views[node] = view
            region.stores[node] = [view]

    def _tracks(self, region: Region, scan: Node, stored: set[Node], leaving: set[Node]) -> None:
        """A carry of which every value is kept lies in what is kept: nothing is copied, and what a step gives is
        what the next one begins with.
        """
        length, reverse = scan["length"], scan["reverse"]
        gets = [user for user in self.graph.users()[scan] if user in stored and user not in self.targets]
        for index, before, after in tracks_of(scan, gets, leaving.__contains__):
            view = self.temporary(before[0], (length + 1, *before[0].shape[1:]))
            self.residuals = self.residuals + self.arena.sizes[view.buffer]
            region.tracks[scan, index] = view
            for users, first in ((before, int(reverse)), (after, 1 - int(reverse))):
                shifted = replace(view, offset=view.offset + view.strides[0] * first, shape=before[0].shape)
                for user in users:
                    if user not in region.stores:
                        self.views[user], region.stores[user] = shifted, []

    def scratch(self, name: str, dtype: str, elements: int) -> Buffer:
        if self.preparing:
            return self.panels.prepared(name, dtype, elements)
        return self.arena.buffer(name, dtype, elements)

    def temporary(self, node: Node, shape: Shape, contiguous: bool = False) -> View:
        row = 1 if not shape else shape[-1] if contiguous else padded_row(shape[-1], node.dtype)
        elements = product((*shape[:-1], row))
        if self.preparing:
            buffer = self.panels.prepared(label_of(node), node.dtype, int(str(elements)))
        else:
            buffer = self.arena.buffer(label_of(node), node.dtype, elements)
        if not shape or contiguous:
            return View.contiguous(buffer, shape)
        if isinstance(row, int) and row != 1:
            return View.padded(buffer, shape, row)
        return View.contiguous(buffer, shape)

    def _views(self, nodes: Sequence[Node], region: Region) -> None:
        """Views of what lies in memory, through every movement op."""
        for node in nodes:
            if node in self.views or not node.operands:
                continue
            source = node.operands[0]
            if is_view(node) and source in self.views:
                view = view_through(node, self.views[source])
                if view is not None:
                    self.views[node] = view

    # Kernels -------------------------------------------------------------------------------------

    def _step(self, region: Region, step: Step, block: Block) -> None:
        names = ", ".join(dict.fromkeys(label_of(node) for node in step.members if node in region.stores))
        where = next((str(node.where) for node in step.members if node.where), "")
        comment = f"{step.kind} {names}  {where}".strip()
        if step.kind == "outer_sum":
            self.outer_sum(region, block, step.members[0], comment)
            return
        by_rows = cut_of(region, step).by_rows
        self.kernel(lambda inner: kernels.emit_step(region, inner, step), comment, by_rows)

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
        return Plan(
            (*self.functions.values(), *self.panels.functions),
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
            self.arena.total,
            self.residuals,
            self.panels.total,
            self.parts,
            self.work,
        )
