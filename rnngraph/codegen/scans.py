"""A scan as loop IR: its carried values in memory, and its loop over steps as a function of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..ir.graph import Graph, Node, make, step_condition
from ..ir.ops import scan_parts
from ..ir.types import Dim, Shape, size
from .evaluate import Evaluator, label_of, view_through
from .kernels import copy_to, emit_step
from .loops import Barrier, Block, Index, LetIndex, When
from .nests import Region, by_one, loop
from .phases import contracted, cut, cuts_axes, is_view, stays_view
from .rowwise import Rowwise
from .sharing import BARRIER_CYCLES, Cut, cut_of
from .team import TEAM, WORKER, WORKERS
from .views import View


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


@dataclass(frozen=True)
class State:
    """Where a carried value lies: in one place, which a step overwrites, in two in turn, or in one for every step.

    kind: ``alone``, ``twice`` or ``track``.
    """

    view: View
    kind: str
    length: Dim
    reverse: bool

    def before(self, slot: Index, step: Index) -> View:
        """At the start of a step; ``slot`` is its turn's parity."""
        if self.kind == "track":
            return self.view.first_axis(step + 1 if self.reverse else step)
        return self.view.first_axis(slot) if self.kind == "twice" else self.view

    def after(self, slot: Index, step: Index) -> View:
        """At its end."""
        if self.kind == "track":
            return self.view.first_axis(step if self.reverse else step + 1)
        return self.view.first_axis(slot * -1 + 1) if self.kind == "twice" else self.view

    def first(self) -> View:
        return self.before(0, self.length - 1 if self.reverse else 0)

    def last(self, slot: Index) -> View:
        """After all steps; ``slot`` is the parity of their number."""
        return self.before(slot, -1 if self.reverse else self.length)


def tracks_of(
    scan: Node, gets: Sequence[Node], whole: Callable[[Node], bool]
) -> list[tuple[int, list[Node], list[Node]]]:
    """Carries whose values are kept: (index, who reads the value before a step, who reads the one after it).

    None of a scan whose steps may not run: what these emit is not what is carried.
    """
    body, carries = scan["body"], scan["carries"]
    found: list[tuple[int, list[Node], list[Node]]] = []
    if step_condition(scan) is not None:
        return found
    for index, (formal, (_, following)) in enumerate(zip(body.inputs[:carries], body.outputs, strict=False)):
        emits = [(user, body.outputs[user["index"]][1]) for user in gets if user["index"] >= carries]
        before = [user for user, value in emits if value is formal]
        after = [user for user, value in emits if value is following]
        if following is not formal and any(map(whole, before)):
            found.append((index, before, after))
    return found


class Scan:
    """One scan: its carried values in memory, its loop over steps as a function, what it emits."""

    def __init__(self, scheduler: Scheduler, region: Region, node: Node, number: int, nodes: Sequence[Node]) -> None:
        self.scheduler, self.region, self.node = scheduler, region, node
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
        body = self.body
        outputs = [value for _, value in body.outputs]
        self.formal = scan_parts(body.inputs, dict(self.node.attributes))
        inner_views = set(body.inputs) | {n for n in body.nodes if n.op == "constant" and n.tensor.rank}
        available = set(inner_views)
        for inner in body.nodes:  # views of what is handed in are in memory too
            if is_view(inner) and inner.operands[0] in available and (stays_view(inner) or cuts_axes(inner)):
                available.add(inner)
        copies = {n for n in body.nodes if is_view(n) and n not in available and not stays_view(n)}
        self.cutting = cut(body.nodes, set(outputs) - available, available, copies)

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
        position = {node: number for number, step in enumerate(self.cutting.steps) for node in step.members}
        if following not in self.cutting.stored or following not in position:
            return False
        if any(value is formal for _, value in self.body.outputs):
            return False
        if [value for _, value in self.body.outputs[: self.carries]].count(following) > 1:
            return False
        last = position[following]
        for user in users:
            if user not in position or is_view(user) or position[user] > last:
                return False
            if position[user] == last and (contracted(formal, user) or user.shape != formal.shape):
                return False
        return True

    # In the entry --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Initial values, before the first step."""
        initial = scan_parts(self.node.operands, dict(self.node.attributes))[0]
        # What the loop over chunks computes is not there yet: an index that it stores is computed here again.
        later = {view.buffer for views in self.region.stores.values() for view in views}
        known = {node: view for node, view in self.region.views.items() if view.buffer not in later}
        region = replace(self.region, views=known, stores={}, length=None, tracks={})
        for value, state in zip(initial, self.state, strict=True):
            self.scheduler.copy_kernel(region, value, state.first(), f"initial {label_of(value)}")

    def end(self) -> None:
        """Views of the final values."""
        name = f"last{self.tag}"
        if self.in_turn:
            self.scheduler.block.add(LetIndex(name, "parity", self.node["length"]))
        for index, state in enumerate(self.state):
            for user in self.results.get(index, []):
                self.region.views[user] = state.last(size(name))

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
        comment = f"scan {label_of(self.node)}  {self.node.where}"
        if self.scheduler.parts > 1 and self.parts == 1:
            one = Block([], block.counts)
            by_one(self.region, one, lambda inner: inner.statements.extend(block.statements))
            block = one
        self.scheduler.add_function(block, comment, "scan", self.work.by_rows, self.parts == 1)

    # One step ------------------------------------------------------------------------------------

    def _one(self, block: Block, s: Index, done: Index) -> None:
        region, node = self.region, self.node
        local = region.steps - 1 - s if node["reverse"] else s
        absolute = region.start + local
        slot: Index = 0
        if self.in_turn:
            name = block.fresh("slot").replace(".", "")
            block.add(LetIndex(name, "parity", done + s))
            slot = size(name)
        views: dict[Node, View] = {}
        _, sequences, constants = scan_parts(node.operands, dict(node.attributes))
        carried, formal_sequences, formal_constants = self.formal
        for formal, state in zip(carried, self.state, strict=True):
            views[formal] = state.before(slot, absolute)
        for formal, actual in zip(formal_sequences, sequences, strict=True):
            outer = region.views[actual]
            views[formal] = outer.first_axis(local if outer.local else absolute)
        for formal, actual in zip(formal_constants, constants, strict=True):
            views[formal] = region.views[actual]
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
        for formal, state in zip(self.formal[0], self.state, strict=True):
            if state.kind == "twice":
                copy_to(region, block, formal, [state.after(slot, absolute)])
        for index, (_, value) in enumerate(self.body.outputs):
            places = self._result_places(index, slot, local, absolute) if index >= self.carries else []
            if places:
                zero = make("constant", value=np.zeros((), value.dtype))
                copy_to(region, block, make("broadcast", zero, shape=value.shape), places)

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
