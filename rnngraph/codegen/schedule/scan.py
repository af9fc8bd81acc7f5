"""A scan as loop IR: its carried values in memory, and its loop over steps as a function of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from ...ir.graph import Graph, Node, make
from ...ir.scan import ScanParts, step_condition
from ...ir.types import Shape, size
from ..analysis.kernel_fusion import cut_body, is_view
from ..analysis.row_independence import Rowwise
from ..buffers.buffer_reuse import may_overwrite
from ..buffers.carried_state import State
from ..buffers.views import View
from ..cost_model.work_sharing import BARRIER_CYCLES, Cut, cut_of
from ..kernels.active_rows import Masks, Rows, Running, Tables
from ..kernels.emit import copy_to, emit_step
from ..kernels.loop_nests import Region, by_one, each_part, lanes_for, loop, runs
from ..kernels.values import Evaluator, label_of, view_through
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Barrier, For, Index, LetIndex, When
from ..threads.barrier import TEAM, WORKER, WORKERS


class Scheduler(Protocol):
    """What a scan asks of the schedule that it is part of. ``block``: where the entry's statements go now."""

    users: dict[Node, list[Node]]
    block: Block
    parts: int

    def temporary(self, node: Node, shape: Shape, contiguous: bool = False) -> View: ...

    def copy_kernel(self, region: Region, node: Node, view: View, comment: str) -> None: ...

    def add_function(
        self, block: Block, comment: str, kind: str, by_rows: bool = False, alone: bool = False
    ) -> None: ...


def _between(block: Block, rows: tuple[Index, Index], body: Callable[[Block, Index], None]) -> None:
    loop(block, "b", rows[1], body, rows[0])


def before_loops(region: Region) -> Region:
    """The region before its loop over chunks, whose values are not there yet: an index that it stores is computed
    again.
    """
    later = {view.buffer for views in region.stores.values() for view in views}
    known = {node: view for node, view in region.views.items() if view.buffer not in later}
    return replace(region, views=known, stores={}, length=None, tracks={})


def zeros_like(node: Node) -> Node:
    return make("broadcast", make("constant", value=np.zeros((), node.dtype)), shape=node.shape)


class Scan:
    """One scan: its carried values in memory, its loop over steps as a function, what it emits."""

    def __init__(
        self, scheduler: Scheduler, region: Region, node: Node, number: int, nodes: Sequence[Node],
        masks: Masks, running: Running,
    ) -> None:  # fmt: skip
        """running: which rows run at which steps."""
        self.scheduler, self.node, self.chunk = scheduler, node, region
        self.unread = masks.limits.unread
        limit = masks.limits.scans.get(node)
        self.tables: Tables | None = None
        self.steps = region.steps
        if limit is not None and limit in running:
            self.tables, run = running[limit]
            self.steps = size(run)
        self.body: Graph = node["body"]
        self.carries = node["carries"]
        self.tag = f"{number}_{nodes.index(node)}"
        self.results: dict[int, list[Node]] = {}
        for user in scheduler.users[node]:
            self.results.setdefault(user["index"], []).append(user)
        self._cut()
        self._places()
        self.rowwise: Rowwise | None = None
        self.work = self._shared()
        self.parts = 1 if self.work.axis is None else scheduler.parts

    @property
    def region(self) -> Region:
        """Of a chunk the steps that run, as it is now: a pipeline changes how many workers it is for."""
        return self.chunk if self.tables is None else self.chunk.within(self.steps, None)

    def _shared(self) -> Cut:
        """Cycles of a step; its kernels are cut into parts unless waiting would cost more. A step that may not run is
        one worker's: the others don't know.
        """
        parts = self.scheduler.parts
        region = Region(self.region.target, self.region.panels, self.region.scratch, {}, parts=parts)
        rowwise = self.region.rowwise
        if rowwise is not None and step_condition(self.node) is None:
            self.rowwise = region.rowwise = rowwise.inside(self.node, self.cutting.steps)
        cuts = [cut_of(region, step) for step in self.cutting.steps]
        if self.rowwise is not None:
            return Cut(0, sum(cut.cycles for cut in cuts), sum(cut.whole for cut in cuts), True)
        whole = sum(cut.whole for cut in cuts)
        shared = sum(cut.cycles + BARRIER_CYCLES for cut in cuts)
        pays = parts > 1 and step_condition(self.node) is None and shared < 0.9 * whole
        return Cut(0, shared, whole, barriers=len(cuts)) if pays else Cut(None, whole, whole)

    def be_alone(self) -> None:
        """Every step is one worker's, whatever was estimated."""
        self.parts, self.rowwise, self.work = 1, None, Cut(None, self.work.whole, self.work.whole)

    def _cut(self) -> None:
        self.given = ScanParts.of(self.node)
        self.cutting = cut_body(self.body)

    def _places(self) -> None:
        """Where carried values live: one place where a step may overwrite them, else two in turn."""
        scheduler, users = self.scheduler, self.body.users()
        self.state: list[State] = []
        for index in range(self.carries):
            formal, following = self.body.inputs[index], self.body.outputs[index][1]
            view, kind = self.region.tracks.get((self.node, index)), "track"
            if view is None:
                kind = "alone" if self._may_overwrite(formal, following, users[formal]) else "twice"
                view = scheduler.temporary(formal, formal.shape if kind == "alone" else (2, *formal.shape))
            self.state.append(State(view, kind, self.node["length"], self.node["reverse"]))
        self.in_turn = any(state.kind == "twice" for state in self.state)

    def _may_overwrite(self, formal: Node, following: Node, users: Sequence[Node]) -> bool:
        """Whether the next value can take the place of this one: nobody reads it later, or elsewhere."""
        outputs = [value for _, value in self.body.outputs]
        if outputs[: self.carries].count(following) > 1:
            return False
        return may_overwrite(self.cutting, outputs, users, formal, following)

    # In the entry --------------------------------------------------------------------------------

    def begin(self, region: Region) -> None:
        """Initial values, before the first step. region: as ``before_loops`` gives it."""
        for index, (carry, state) in enumerate(zip(self.given.carries, self.state, strict=True)):
            value = carry.initial
            comment, place = f"initial {label_of(value)}", state.first()
            if self.tables is not None and self.node["reverse"]:  # a row begins with its own last step
                if self.tables.by_rows and state.kind != "alone":
                    self._each_row(state, region, value, comment)
                    continue
                place = state.at(self.scheduler.block, self.tables.span, f"first{self.tag}_{index}")
            self.scheduler.copy_kernel(region, value, place, comment)

    def _each_row(self, state: State, region: Region, value: Node, comment: str, to: Index | None = None) -> None:
        """Each row of ``value`` goes where its row's end is; or what lies there goes ``to`` where all rows' end is."""
        tables, block = self.tables, Block()
        assert tables is not None

        def row(inner: Block, index: Index) -> None:
            there = state.at(inner, tables.limit_of(inner, index))
            source, place = (region.views, there) if to is None else ({value: there}, state.at(inner, to))
            for nested, run in runs(inner, value.shape[-1], lanes_for(region.target, [value], value.shape[-1])):
                evaluator = Evaluator(nested, source)
                evaluator.store(evaluator.value(value, (index, run)), place, (index, run))

        rows, by_rows = tables.limit.rows, self.work.by_rows
        shared = replace(self.region, parts=self.scheduler.parts)
        if by_rows:
            each_part(shared, block, 0, lambda inner, share: _between(inner, share.range(inner, rows), row))
        else:
            by_one(shared, block, lambda inner: _between(inner, (0, rows), row))
        self.scheduler.add_function(block, comment, "phase", by_rows)

    def end(self) -> None:
        """Views of the final values."""
        if self.tables is not None:
            self._end_early(self.tables)
            return
        name = f"last{self.tag}"
        if self.in_turn:
            self.scheduler.block.add(LetIndex(name, "parity", self.node["length"]))
        for index, state in enumerate(self.state):
            for user in self.results.get(index, []):
                self.region.views[user] = state.last(size(name))

    def _end_early(self, tables: Tables) -> None:
        """The same where rows end before the last step, or in reverse begin after the first."""
        for index, (state, carry) in enumerate(zip(self.state, self.given.carries, strict=True)):
            if index not in self.results:
                continue
            last: Index = 0 if self.node["reverse"] else tables.span
            if tables.by_rows and not self.node["reverse"] and state.kind != "alone":
                comment = f"last {label_of(carry.inside)}"
                self._each_row(state, self.region, carry.inside, comment, tables.span)
            for user in self.results[index]:
                self.region.views[user] = state.at(self.scheduler.block, last, f"last{self.tag}_{index}")

    def run(self, done: Index) -> None:
        """The loop over the steps of the present chunk, as a function of its own."""
        block = Block()
        turns = self.node.get("unroll", 1)
        steps = self.region.steps
        if turns == 1:
            loop(block, "s", steps, lambda inner, s: self._one(inner, s, done))
        else:
            block.add(LetIndex("whole", "floor", steps, turns))

            def several(inner: Block, s: Index) -> None:
                for offset in range(turns):
                    self._one(inner, s + offset, done)

            loop(block, "s", size("whole"), several, 0, turns)
            loop(block, "s", steps, lambda inner, s: self._one(inner, s, done), size("whole"))
        if self.tables is not None:
            self._zeros(block, self.tables)
        comment = f"scan {label_of(self.node)}  {self.node.where}"
        if self.scheduler.parts > 1 and self.parts == 1:
            one = Block([], block.counts)
            by_one(self.region, one, lambda inner: inner.statements.extend(block.statements))
            block = one
        self.scheduler.add_function(block, comment, "scan", self.work.by_rows, self.parts == 1)

    def _zeros(self, block: Block, tables: Tables) -> None:
        """What is emitted of rows that have ended, where it is read."""
        chunk = self.chunk
        unread = {node for node, limit in self.unread.items() if limit == tables.limit}

        def step(inner: Block, local: Index) -> None:
            absolute = chunk.start + local
            rows = Rows(tables, absolute, ended=True) if tables.by_rows else None
            # One step's values: that there may be as many rows as steps makes no row a step.
            region = replace(chunk, views={}, length=None, parts=self.parts, rowwise=self.rowwise, running=rows)
            for index, users in self.results.items():
                places = [view for user in users if user not in unread for view in chunk.stores.get(user, [])]
                if index >= self.carries and places:
                    zeros = zeros_like(self.body.outputs[index][1])
                    copy_to(
                        region, inner, zeros, [item.first_axis(local if item.local else absolute) for item in places]
                    )

        inner = block.nested()
        loop(inner, "s", chunk.steps, step, 0 if tables.by_rows else self.region.steps)
        if any(isinstance(item, For) and item.body for item in inner.statements):
            block.statements.extend(inner.statements)

    # One step ------------------------------------------------------------------------------------

    def _one(self, block: Block, s: Index, done: Index) -> None:
        region, node = self.region, self.node
        local = region.steps - 1 - s if node["reverse"] else s
        absolute = region.start + local
        slot: Index = 0
        if self.in_turn:
            name = block.fresh("slot").replace(".", "")
            position = absolute + 1 if node["reverse"] else absolute
            block.add(LetIndex(name, "parity", done + s if self.tables is None else position))
            slot = size(name)
        views: dict[Node, View] = {}
        for carry, state in zip(self.given.carries, self.state, strict=True):
            views[carry.inside] = state.before(slot, absolute)
        for inside, outside in self.given.sequences:
            outer = region.views[outside]
            views[inside] = outer.first_axis(local if outer.local else absolute)
        for inside, outside in self.given.invariants:
            views[inside] = region.views[outside]
        for inner in self.body.nodes:
            if inner.op == "constant" and inner.tensor.rank:
                views[inner] = region.views[inner]
        condition = step_condition(node)
        if condition is None:
            self._step(block, views, slot, local, absolute)
            return
        runs = block.fresh_index("runs")
        flag = Evaluator(block, views).value(condition, ())
        block.add(LetIndex(runs, "of", 0, 2, block.let("cast", [flag], "int64", 1)))
        one, other = block.nested(), block.nested()
        self._step(one, dict(views), slot, local, absolute)
        self._left_out(other, views, slot, local, absolute)
        block.add(When(size(runs), 1, 2, tuple(one.statements)))
        block.add(When(size(runs), 0, 1, tuple(other.statements)))

    def _left_out(self, block: Block, views: dict[Node, View], slot: Index, local: Index, absolute: Index) -> None:
        """A step that does not run: what is carried in two places in turn moves on, and it emits zeros."""
        region = Region(self.region.target, self.region.panels, self.region.scratch, views)
        for carry, state in zip(self.given.carries, self.state, strict=True):
            if state.kind == "twice":
                copy_to(region, block, carry.inside, [state.after(slot, absolute)])
        for index, (_, value) in enumerate(self.body.outputs):
            places = self._result_places(index, slot, local, absolute) if index >= self.carries else []
            if places:
                copy_to(region, block, zeros_like(value), places)

    def _step(self, block: Block, views: dict[Node, View], slot: Index, local: Index, absolute: Index) -> None:
        region = self.region
        stores: dict[Node, list[View]] = {}
        self._fill_views(views)
        given, passed = set(views), list[tuple[Node, list[View]]]()
        for index, (_, value) in enumerate(self.body.outputs):
            places = self._result_places(index, slot, local, absolute)
            if value in self.cutting.stored:
                stores.setdefault(value, []).extend(places)
            elif places:
                passed.append((value, places))
        for value in [node for node in self.body.nodes if node in self.cutting.stored]:  # in a fixed order
            if value not in stores:
                stores[value] = [self._temporary(value)]
            views[value] = self._best(stores[value])
        self._fill_views(views)
        inner_region = Region(region.target, region.panels, region.scratch, views, stores, parts=self.parts)
        inner_region.rowwise = self.rowwise
        if self.tables is not None and self.tables.by_rows:
            inner_region.running = Rows(self.tables, absolute)
        for value, places in passed:  # an output that is an input or a view of one: read before it is overwritten
            if value in given:
                copy_to(inner_region, block, value, places)
                self._barrier(block)
        for step in self.cutting.steps:
            emit_step(inner_region, block, step)
            self._barrier(block)
        for value, places in passed:  # one that is a view of what the step computes: read once that is there
            if value not in given:
                copy_to(inner_region, block, value, places)
                self._barrier(block)

    def _barrier(self, block: Block) -> None:
        if self.parts > 1 and not self.work.by_rows:
            block.add(Barrier(TEAM, WORKER, WORKERS))

    def _temporary(self, value: Node) -> View:
        if not hasattr(self, "temporaries"):
            self.temporaries: dict[Node, View] = {}
        if value not in self.temporaries:
            self.temporaries[value] = self.scheduler.temporary(value, value.shape, contiguous=value.op == "reshape")
        return self.temporaries[value]

    @staticmethod
    def _best(places: list[View]) -> View:
        """Of several copies of a value the padded one is read."""
        return next((view for view in places if view.room is not None), places[0])

    def _result_places(self, index: int, slot: Index, local: Index, absolute: Index) -> list[View]:
        places: list[View] = []
        if index < self.carries:
            return [self.state[index].after(slot, absolute)]
        for user in self.results.get(index, []):
            for view in self.region.stores.get(user, []):
                places.append(view.first_axis(local if view.local else absolute))
        return places

    def _fill_views(self, views: dict[Node, View]) -> None:
        for inner in self.body.nodes:
            if inner not in views and is_view(inner) and inner.operands[0] in views:
                view = view_through(inner, views[inner.operands[0]])
                if view is not None:
                    views[inner] = view
