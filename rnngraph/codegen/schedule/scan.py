"""A scan as loop IR: its carried values in memory, and its loop over steps as a function of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...ir.graph import Graph, Node, make
from ...ir.scan import ScanParts
from ...ir.types import ITEM_BYTES, product, size
from ...support.errors import VerifyError
from ..analysis.kernel_fusion import fuse_body
from ..analysis.node_kinds import is_view, label_of
from ..analysis.row_lengths import LengthMask
from ..buffers.allocation import Allocation, GroupMemory
from ..buffers.carried_state import DOUBLE_BUFFERED, IN_PLACE, State
from ..buffers.memory import Memory
from ..buffers.views import View, view_through
from ..cost_model.chunk_length import TimeChunk
from ..cost_model.register_tiles import lanes_for
from ..cost_model.work_sharing import ONE_WORKER, SERIAL, Partition
from ..kernels.active_rows import ActiveRows, ActiveSteps, MaskTable
from ..kernels.emit import copy_partition, copy_to, emit_kernel
from ..kernels.kernel_plan import KernelPlan, plan_kernel
from ..kernels.loop_nests import each_slice, loop, single, strips
from ..kernels.region import Region
from ..kernels.values import ValueEmitter
from ..loop_ir.builder import Block
from ..loop_ir.nodes import For, Index, LetIndex, When
from .entry_writer import EntryWriter
from .group_plan import CopyPlan
from .kernel_calls import call_copy
from .scan_plan import ScanPlan, carried_states, share_scan
from .step_parts import StepPart, StepWaits
from .ticks import COPY, WAIT, WORK, StepTicks, Timed


@dataclass(frozen=True)
class _Moment:
    """One step: its number in the chunk and in the sequence, and the parity of its turn."""

    local: Index
    absolute: Index
    slot: Index = 0

    def of(self, view: View) -> View:
        """A sequence's element at this step."""
        return view.first_axis(self.local if view.local else self.absolute)


def before_loops(region: Region) -> Region:
    """The region before its loop over chunks, whose values are not there yet: an index that it stores is computed
    again.
    """
    memory = region.memory
    later = {view.buffer for views in memory.stores.values() for view in views}
    known = {node: view for node, view in memory.views.items() if view.buffer not in later}
    return replace(region, memory=replace(memory, views=known, stores={}), time=None)


def zeros_like(node: Node) -> Node:
    zero = make("constant", value=np.zeros((), node.dtype))
    return make("broadcast", zero, where=node.where, shape=node.shape)


class Scan:
    """One scan: its carried values in memory, its loop over steps as a function, what it emits."""

    def __init__(
        self, writer: EntryWriter, allocation: Allocation, region: Region, group: GroupMemory, node: Node, tag: str,
        unread: Mapping[Node, LengthMask], active: ActiveSteps | None,
    ) -> None:  # fmt: skip
        """tag: of names in the entry. unread: values that nobody reads of rows that have ended."""
        self.writer, self.allocation, self.chunk, self.group = writer, allocation, region, group
        self.node, self.tag, self.unread, self.active = node, tag, unread, active
        self.table: MaskTable | None = None if active is None else active.table
        self.body: Graph = node["body"]
        self.carries = node["carries"]
        self.results: dict[int, list[Node]] = {}
        for user in allocation.users[node]:
            self.results.setdefault(user["index"], []).append(user)
        self.given = ScanParts.of(node)
        self.fused = fuse_body(self.body)
        self.states = carried_states(allocation, group.histories, node, self.fused)
        self.in_turn = any(state.kind == DOUBLE_BUFFERED for state in self.states)
        self._in_place_of_condition = next(
            (
                carry.next
                for carry, state in zip(self.given.carries, self.states, strict=True)
                if carry.inside is self.given.when and state.kind == IN_PLACE
            ),
            None,
        )
        self.temporaries: dict[Node, View] = {}
        self._plan: ScanPlan | None = None
        self._ticks: StepTicks | None = None
        self._is_sampled = True
        self._step_memory: Memory | None = None
        self.sharing = share_scan(writer.parts, region, node, self.fused.kernels)

    @property
    def region(self) -> Region:
        """The region of a chunk's steps that run."""
        return self.chunk if self.active is None else self.chunk.within(self.active.size, None)

    @property
    def time(self) -> TimeChunk:
        """The chunk of time, of which only the steps that run."""
        assert self.region.time is not None
        return self.region.time

    def join_others(self) -> None:
        """Steps run beside those of other scans, so that none of them is looked at alone."""
        self._is_sampled = False

    def make_serial(self) -> None:
        """Every step becomes one worker's, whatever was estimated: the scan is a part of a pipeline's stage."""
        self.sharing = self.sharing.made_serial()
        self.chunk = replace(self.chunk, workers=ONE_WORKER)

    @property
    def plan(self) -> ScanPlan:
        """The plan of the scan, once ``run`` has written the steps."""
        assert self._plan is not None
        return self._plan

    @property
    def _waits(self) -> StepWaits:
        return StepWaits(self.sharing, len(self.fused.kernels) + 1)

    @property
    def step_memory(self) -> Memory:
        """Where the values of the first step lie, once that is written."""
        assert self._step_memory is not None
        return self._step_memory

    def _planned(self, region: Region) -> ScanPlan:
        """The plan of every step. region: of the first one that is written; in others, values lie alike."""
        if self._plan is None:
            kernels = zip(self.fused.kernels, self.sharing.partitions, strict=True)
            plans = tuple(plan_kernel(region, kernel, partition) for kernel, partition in kernels)
            self._plan = ScanPlan(self.node, self.states, self.sharing, self.active, plans)
            self._step_memory = region.memory
            self._ticks = self._step_ticks(region, plans)
        return self._plan

    def _step_ticks(self, region: Region, plans: Sequence[KernelPlan]) -> StepTicks | None:
        """What divides the time of an entry that counts between the kernels of a step, where there are several."""
        ticks = self.writer.ticks
        if ticks is None or not self._is_sampled or (len(plans) == 1 and self.sharing.workers.parts == 1):
            return None
        whole, scan, active = ticks.of(self._timed()), self.node, self.active
        found = [Timed(WORK, plan.kernel.members, "", plan, region.memory, scan, active, whole) for plan in plans]
        copies = Timed(COPY, (scan,), "copies of results", scan=scan, whole=whole)
        waits = Timed(WAIT, (), "waits for other workers", scan=scan, whole=whole)
        return StepTicks(ticks, whole, [*found, copies, waits])

    def _timed(self) -> Timed:
        """What a profile counts the whole scan as: its kernel, if it has one alone."""
        plans = self._plan.kernels if self._plan is not None else ()
        one = plans[0] if len(plans) == 1 else None
        nodes = one.kernel.members if one is not None else self.body.nodes
        return Timed(WORK, nodes, self.comment, one, self._step_memory, self.node, self.active)

    @property
    def comment(self) -> str:
        return f"scan {label_of(self.node)}  {self.node.where}"

    # In the entry --------------------------------------------------------------------------------

    def begin(self, region: Region) -> Iterator[CopyPlan]:
        """Initial values, before the first step. region: as ``before_loops`` gives it."""
        if self.given.blocks is not None:  # each begins with values of its own
            return
        for index, (carry, state) in enumerate(zip(self.given.carries, self.states, strict=True)):
            value = carry.initial
            comment, place = f"initial {label_of(value)}", state.first()
            if self.table is not None and self.node["reverse"]:  # a row begins with its own last step
                if self.table.by_rows and state.kind != IN_PLACE:
                    yield self._each_row(self.table, state, region, value, comment)
                    continue
                place = state.at(self.writer.block, self.table.span, f"first{self.tag}_{index}")
            yield call_copy(self.writer, region, value, place, comment, self.node)

    def _each_row(
        self, table: MaskTable, state: State, region: Region, value: Node, comment: str, to: Index | None = None
    ) -> CopyPlan:
        """Each row of ``value`` goes where its row's end is; or what lies there goes ``to`` where all rows' end is."""
        block, rows, parts = Block(origin=value.where or self.node.where), table.mask.rows, self.writer.parts

        def row(inner: Block, index: Index) -> None:
            there = state.at(inner, table.length_of(inner, index))
            source, place = (region.memory.views, there) if to is None else ({value: there}, state.at(inner, to))
            for nested, strip in strips(inner, value.shape[-1], lanes_for(region.target, [value], value.shape[-1])):
                emitter = ValueEmitter(nested, source)
                emitter.store(emitter.value(value, (index, strip)), place, (index, strip))

        def between(inner: Block, first: Index, stop: Index) -> None:
            loop(inner, "b", stop, row, first)

        if self.sharing.estimate.by_rows:
            each_slice(parts, block, 0, lambda inner, share: between(inner, *share.range(inner, rows)))
        else:
            single(parts, block, lambda inner: between(inner, 0, rows))
        with self.writer.timing(Timed(COPY, (value,), comment, owner=self.node)):
            self.writer.function(block, comment, "fused", self.sharing.estimate.by_rows)
        return CopyPlan(comment, Partition(0, 0.0, 0.0, True) if self.sharing.estimate.by_rows else SERIAL)

    def end(self) -> None:
        """Views of the final values."""
        if self.table is not None:
            self._end_early(self.table)
            return
        name = f"last{self.tag}"
        if self.in_turn:
            self.writer.block.add(LetIndex(name, "parity", self.node["length"]))
        for index, state in enumerate(self.states):
            for user in self.results.get(index, []):
                self.allocation.views[user] = state.last(size(name))

    def _end_early(self, table: MaskTable) -> None:
        """The same where rows end before the last step, or in reverse begin after the first."""
        for index, (state, carry) in enumerate(zip(self.states, self.given.carries, strict=True)):
            if index not in self.results:
                continue
            last: Index = 0 if self.node["reverse"] else table.span
            if table.by_rows and not self.node["reverse"] and state.kind != IN_PLACE:
                comment = f"last {label_of(carry.inside)}"
                self._each_row(table, state, self.region, carry.inside, comment, table.span)
            for user in self.results[index]:
                self.allocation.views[user] = state.at(self.writer.block, last, f"last{self.tag}_{index}")

    def run_from(self, first: Index, done: Index, timed: Timed) -> None:
        """The loop over the steps of the present chunk from ``first`` on, as a function that counts as ``timed``; the
        others run beside those of other scans.
        """
        block = Block(origin=self.node.where)
        loop(block, "s", self.time.steps, lambda inner, s: self.add_step(inner, s, done), first)
        with self.writer.timing(timed):
            self.writer.function(block, self.comment, "scan", serial=True)

    def fill_ended(self, timed: Timed) -> None:
        """Zeros for what is emitted of rows that have ended, behind the steps that run beside others."""
        block = Block(origin=self.node.where)
        if self.table is not None:
            self._zeros(block, self.table)
        if block.statements:
            with self.writer.timing(timed):
                self.writer.function(block, self.comment, "scan", serial=True)

    def run(self, done: Index) -> None:
        """The loop over the steps of the present chunk, as a function of its own. done: steps of earlier chunks."""
        block, unroll = Block(origin=self.node.where), self.node.get("unroll", 1)
        steps = self.time.steps
        if unroll == 1:
            loop(block, "s", steps, lambda inner, s: self.add_step(inner, s, done))
        else:
            block.add(LetIndex("whole", "floor", steps, unroll))

            def several(inner: Block, s: Index) -> None:
                for offset in range(unroll):
                    self.add_step(inner, s + offset, done)

            loop(block, "s", size("whole"), several, 0, unroll)
            loop(block, "s", steps, lambda inner, s: self.add_step(inner, s, done), size("whole"))
        if self.table is not None:
            self._zeros(block, self.table)
        comment, serial = self.comment, self.sharing.workers.parts == 1
        if self.writer.parts > 1 and serial:
            one = Block([], block.counts, block.origin)
            single(self.writer.parts, one, lambda inner: inner.statements.extend(block.statements))
            block = one
        if self._ticks is not None:
            self.writer.block.add(self._ticks.let())
        with self.writer.timing(self._timed()):
            self.writer.function(block, comment, "scan", self.sharing.estimate.by_rows, serial)

    def _zeros(self, block: Block, table: MaskTable) -> None:
        """Writes zeros where rows that have ended would emit, if somebody reads them."""
        time, memory = self.chunk.time, self.chunk.memory
        assert time is not None
        unread = {node for node, mask in self.unread.items() if mask == table.mask}

        def step(inner: Block, local: Index) -> None:
            at = _Moment(local, time.start + local)
            rows = ActiveRows(table, at.absolute, ended=True) if table.by_rows else None
            # One step's values: that there may be as many rows as steps makes no row a step.
            region = Region(self.chunk.target, replace(memory, views={}), None, self.sharing.workers, rows)
            for index, users in self.results.items():
                places = [view for user in users if user not in unread for view in memory.stores.get(user, ())]
                if self.carries <= index < len(self.body.outputs) and places:
                    self._copy(region, inner, zeros_like(self.body.outputs[index][1]), list(map(at.of, places)))

        inner = block.nested()
        loop(inner, "s", time.steps, step, 0 if table.by_rows else self.time.steps)
        if any(isinstance(item, For) and item.body for item in inner.statements):
            block.statements.extend(inner.statements)

    def _copy(self, region: Region, block: Block, node: Node, places: Sequence[View]) -> None:
        partition = copy_partition(region, node)
        if self.sharing.estimate.by_rows and not partition.by_rows:
            raise VerifyError(f"{label_of(node)} is copied by one worker in a scan whose workers don't wait")
        copy_to(region, block, node, places, partition)

    # One step ------------------------------------------------------------------------------------

    def add_step(self, block: Block, s: Index, done: Index) -> None:
        """One step of the present chunk, after ``s`` others of it and ``done`` of earlier chunks."""
        time, node, outer = self.time, self.node, self.chunk.memory.views
        local = time.steps - 1 - s if node["reverse"] else s
        at = _Moment(local, time.start + local)
        if self.in_turn:
            position = at.absolute + 1 if node["reverse"] else at.absolute
            name = block.fresh_index("slot")
            block.add(LetIndex(name, "parity", done + s if self.table is None else position))
            at = replace(at, slot=size(name))
        elif self._reads_much:
            at = replace(at, slot=block.let_index("parity", "parity", done + s, 1))
        views: dict[Node, View] = {}
        for carry, state in zip(self.given.carries, self.states, strict=True):
            views[carry.inside] = state.before(at.slot, at.absolute)
        self._begin_block(block, views, at)
        for binding in self.given.sequences:
            views[binding.inside] = at.of(outer[binding.outside])
        for binding in self.given.invariants:
            views[binding.inside] = outer[binding.outside]
        for inner in self.body.nodes:
            if inner.op == "constant" and inner.tensor.rank:
                views[inner] = outer[inner]
        if self.given.when is None:
            self._step(block, views, at, s)
            return
        runs = block.fresh_index("runs")
        flag = ValueEmitter(block, views).value(self.given.when, ())
        block.add(LetIndex(runs, "of", 0, 2, block.let("cast", [flag], "int64", 1)))
        one, other = block.nested(), block.nested()
        self._step(one, dict(views), at, s)
        self._left_out(other, views, at)
        block.add(When(size(runs), 1, 2, tuple(one.statements)))
        block.add(When(size(runs), 0, 1, tuple(other.statements)))

    @property
    def _reads_much(self) -> bool:
        """Whether a step multiplies by more than the first cache holds."""
        weights = dict.fromkeys(node.operands[1] for node in self.body.nodes if node.op == "matmul")
        numbers = sum(product(item.shape) * ITEM_BYTES[item.dtype] for item in weights)
        return isinstance(numbers, int) and not self.chunk.target.keeps(numbers)

    def _begin_block(self, block: Block, views: Mapping[Node, View], at: _Moment) -> None:
        """At the first step of each block its own initial values are carried on, or what is carried is kept."""
        given, behind = self.given, len(self.body.outputs)
        steps = given.keeps if given.blocks is None else given.blocks
        if steps is None:
            return
        ran = given.length - 1 - at.absolute if given.reverse else at.absolute
        number, inner = block.fresh_index("block"), block.nested()
        block.add(LetIndex(number, "divide", ran, steps))
        for index, carry in enumerate(given.carries):
            source, places = views[carry.inside], [views[carry.inside]]
            if given.blocks is not None:
                source = self.chunk.memory.views[carry.initial].first_axis(size(number))
            else:
                kept = [view for user in self.results.get(behind + index, ()) for view in self.group.stores[user]]
                places = [view.first_axis(size(number)) for view in kept]
            if places:
                memory = self._memory({carry.inside: source})
                self._copy(Region(self.chunk.target, memory, None, self.sharing.workers), inner, carry.inside, places)
        self._waits.add(inner)
        block.add(When(ran - size(number) * steps, 0, 1, tuple(inner.statements)))

    def _left_out(self, block: Block, views: dict[Node, View], at: _Moment) -> None:
        """A step that does not run: what is double-buffered moves on, and it emits zeros."""
        region = Region(self.chunk.target, self._memory(views), None, self.sharing.workers)
        for carry, state in zip(self.given.carries, self.states, strict=True):
            if state.kind == DOUBLE_BUFFERED:
                self._copy(region, block, carry.inside, [state.after(at.slot, at.absolute)])
        for index, (_, value) in enumerate(self.body.outputs):
            places = self._result_places(index, at) if index >= self.carries else []
            if places:
                self._copy(region, block, zeros_like(value), places)
        if self._in_place_of_condition is None or self.given.blocks is not None:
            self._waits.add(block)  # else no step runs any more, and each worker goes on with what is its own

    def _step(self, block: Block, views: dict[Node, View], at: _Moment, s: Index) -> None:
        stores: dict[Node, list[View]] = {}
        self._fill_views(views)
        given, passed = set(views), list[tuple[Node, list[View]]]()
        for index, (_, value) in enumerate(self.body.outputs):
            places = self._result_places(index, at)
            if value in self.fused.stored:
                stores.setdefault(value, []).extend(places)
            elif places:
                passed.append((value, places))
        for value in [node for node in self.body.nodes if node in self.fused.stored]:  # in a fixed order
            if value not in stores:
                stores[value] = [self._temporary(value)]
            views[value] = self._best(stores[value])
        self._fill_views(views)
        active = ActiveRows(self.table, at.absolute) if self.table is not None and self.table.by_rows else None
        memory = self._memory(views, stores)
        region = Region(self.chunk.target, memory, None, self.sharing.workers, active, parity=at.slot)
        plans = self._planned(region).kernels
        ticks = None if self._ticks is None else self._ticks.step(block, s)

        def copies(early: bool) -> list[StepPart]:
            return [
                StepPart(
                    (), len(plans), copy_partition(region, value), partial(self._copy, region, block, value, places)
                )
                for value, places in passed
                if (value in given) == early
            ]

        parts = copies(early=True)  # of what is an input or a view of one: before it is overwritten
        for number, plan in enumerate(plans):
            emit = partial(emit_kernel, region, block, plan)
            parts.append(StepPart(plan.kernel.members, number, plan.partition, emit))
        parts += copies(early=False)  # of what is a view of what the step computes
        self._waits.step(block, parts, self._in_place_of_condition, ticks)

    def _memory(self, views: dict[Node, View], stores: Mapping[Node, Sequence[View]] | None = None) -> Memory:
        return replace(self.chunk.memory, views=views, stores=stores or {})

    def _temporary(self, value: Node) -> View:
        if value not in self.temporaries:
            self.temporaries[value] = self.allocation.temporary(value, value.shape, contiguous=value.op == "reshape")
        return self.temporaries[value]

    @staticmethod
    def _best(places: list[View]) -> View:
        """The copy of a value that is read: of several the padded one."""
        return next((view for view in places if view.room is not None), places[0])

    def _result_places(self, index: int, at: _Moment) -> list[View]:
        if index < self.carries:
            return [self.states[index].after(at.slot, at.absolute)]
        stores = self.group.stores
        return [at.of(view) for user in self.results.get(index, []) for view in stores.get(user, [])]

    def _fill_views(self, views: dict[Node, View]) -> None:
        for inner in self.body.nodes:
            if inner not in views and is_view(inner) and inner.operands[0] in views:
                view = view_through(inner, views[inner.operands[0]])
                if view is not None:
                    views[inner] = view
