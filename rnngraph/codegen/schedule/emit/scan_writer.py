"""Writer of a scan's loop IR. Its loop over steps is a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ....ir.graph import Node
from ....ir.types import size
from ....support.errors import VerifyError
from ...analysis.node_kinds import label_of
from ...buffers.carried_state import DOUBLE_BUFFERED
from ...buffers.views import View
from ...cost_model.work_sharing import Partition
from ...kernels.active_rows import ActiveRows, ActiveSteps, MaskTable, row_length
from ...kernels.emit import copy_to, emit_kernel
from ...kernels.loop_nests import each_slice, single
from ...kernels.region import Region
from ...kernels.values import ValueEmitter
from ...loop_ir.builder import Block, loop
from ...loop_ir.nodes import For, Index, LetIndex, When
from ..analyse.scan_blocks import ScanBlocks
from ..plan.copy_plan import Parity
from ..plan.scan_layout import Moment, Places, zeros_like
from ..plan.scan_plan import ScanPlan, step_region
from .entry_writer import EntryWriter
from .kernel_calls import call_row_copy
from .step_parts import StepPart, StepWaits
from .ticks import COPY, WAIT, WORK, StepTicks, Timed


class ScanWriter:
    """Writer of a scan: its loop over steps, and the statements after the last step.

    If ``is_sampled``, a profiled entry measures single steps, to divide the scan's time between its kernels. Steps of
    interleaved scans cannot be measured separately.
    """

    def __init__(self, writer: EntryWriter, plan: ScanPlan, is_sampled: bool = True) -> None:
        self.writer, self.plan, self.layout = writer, plan, plan.layout
        self.node, self.table = plan.node, plan.layout.table
        self._is_sampled = is_sampled
        self._block: tuple[Index, ...] = ()
        self._ticks: StepTicks | None = None
        self._waits = StepWaits(plan.sharing, len(plan.kernels) + 1)

    # In the entry --------------------------------------------------------------------------------

    def end(self) -> None:
        """Write the statements that find or copy the scan's final carries, after the last step."""
        for item in self.plan.final:
            if isinstance(item, Parity):
                self.writer.block.add(LetIndex(item.name, "parity", item.position))
            else:
                call_row_copy(self.writer, self.layout.region, item)

    def run_from(self, first: Index, done: Index, timed: Timed) -> None:
        """Add a call of a function that runs the scan's steps of the current chunk from ``first`` on.

        The steps before ``first`` are interleaved with those of other scans.

        Args:
            first: Index of the first step in the chunk.
            done: Number of steps of earlier chunks.
            timed: Profile slot in which the function's time is counted.
        """
        block = Block(origin=self.node.where)
        loop(block, "s", self.layout.time.steps, lambda inner, s: self.add_step(inner, s, done), first)
        with self.writer.timing(timed):
            self.writer.function(block, self.plan.comment, "scan", serial=True)

    def fill_ended(self, timed: Timed) -> None:
        """Add a call of a function that sets results of rows that have ended to zeros, after interleaved steps."""
        block = Block(origin=self.node.where)
        if self.table is not None:
            self._zeros(block, self.table)
        if block.statements:
            with self.writer.timing(timed):
                self.writer.function(block, self.plan.comment, "scan", serial=True)

    def run(self, done: Index, following: Sequence[ScanWriter] = ()) -> None:
        """Add a call of a function that runs the scan's steps of the current chunk of time.

        Args:
            done: Number of steps of earlier chunks.
            following: Writers of the scans that run each block directly after the same block of this scan.
        """
        block, unroll = Block(origin=self.node.where), self.plan.step.unroll
        steps, blocks = self.layout.time.steps, self.layout.blocks
        if blocks is not None:

            def one_block(inner: Block, starts: list[Index]) -> None:
                for scan in (self, *following):
                    with inner.at(scan.node.where):
                        scan._all_steps(inner, starts, done)

            self._each_block(block, blocks, [], one_block)
        elif unroll == 1:
            loop(block, "s", steps, lambda inner, s: self.add_step(inner, s, done))
        else:
            block.add(LetIndex("whole", "floor", steps, unroll))

            def several(inner: Block, s: Index) -> None:
                for offset in range(unroll):
                    self.add_step(inner, s + offset, done)

            loop(block, "s", size("whole"), several, 0, unroll)
            loop(block, "s", steps, lambda inner, s: self.add_step(inner, s, done), size("whole"))
        if self.table is not None and blocks is None:
            self._zeros(block, self.table)
        sharing = self.plan.sharing
        serial = sharing.workers.parts == 1
        if self.writer.parts > 1 and serial and sharing.shared_axis is None:
            one = Block([], block.counts, block.origin)
            single(self.writer.parts, one, lambda inner: inner.statements.extend(block.statements))
            block = one
        if self._ticks is not None:
            self.writer.block.add(self._ticks.let())
        timed = self._profile_slot(following)
        with self.writer.timing(timed):
            is_serial = serial and sharing.shared_axis is None
            self.writer.function(block, timed.text, "scan", sharing.estimate.by_rows, is_serial)

    def _each_block(
        self, block: Block, blocks: ScanBlocks, starts: list[Index], body: Callable[[Block, list[Index]], None]
    ) -> None:
        """Write loops over blocks (parts of rows or heads), with ``body`` inside. Workers may divide one loop."""
        place = len(starts)
        if place == len(blocks.axes):
            body(block, starts)
            return
        extent, width = blocks.axes[place].size, blocks.sizes[place]

        def between(inner: Block, first: Index, stop: Index) -> None:
            loop(
                inner, "b", stop, lambda nested, at: self._each_block(nested, blocks, [*starts, at], body), first, width
            )

        if place != self.plan.sharing.shared_axis:
            between(block, 0, extent)
            return
        parts = self.writer.parts
        each_slice(parts, block, 0, lambda inner, share: between(inner, *share.range(inner, extent, width)))

    def _all_steps(self, block: Block, starts: list[Index], done: Index) -> None:
        """Write the loop over all steps of the current chunk for one block (part of the rows or heads).

        If a block has a single row, its loop stops at the row's last step.
        """
        layout, self._block = self.layout, tuple(starts)
        if layout.row_axis is not None:
            self.layout = replace(layout, active=self._steps_of_row(block, starts[layout.row_axis]))
        loop(block, "s", self.layout.time.steps, lambda inner, s: self.add_step(inner, s, done))
        if self.table is not None:
            self._zeros(block, self.table)
        self.layout = layout

    def _steps_of_row(self, block: Block, row: Index) -> ActiveSteps:
        """Write code that computes how many steps of the current chunk a row takes part in. Return that number."""
        table, chunk = self.layout.table, self.layout.chunk
        assert table is not None
        assert chunk.time is not None
        left = row_length(table.mask, block, chunk.memory.views, row) - chunk.time.start
        within = block.let_index("left", "min", left, chunk.time.steps)
        runs = block.fresh_index("runs")
        block.add(LetIndex(runs, "max", within, 0))
        return ActiveSteps(table, runs)

    def _zeros(self, block: Block, table: MaskTable) -> None:
        """Write loops that set the results of rows that have ended to zeros, if an op reads them."""
        layout, chunk = self.layout, self.layout.chunk
        time, memory, by_rows = chunk.time, chunk.memory, table.by_rows and layout.blocks is None
        assert time is not None

        def step(inner: Block, local: Index) -> None:
            at = Moment(local, time.start + local, block=self._block)
            rows = ActiveRows(table, at.absolute, ended=True) if by_rows else None
            # The region covers one step, so that its first axis is rows, even if there are as many rows as steps.
            region = Region(chunk.target, replace(memory, views={}), None, self.plan.sharing.workers, rows)
            for index, users in layout.results.items():
                read = [user for user in users if user not in self.plan.unread]
                places = [view for user in read for view in memory.stores.get(user, ())]
                if len(layout.states) <= index < len(layout.body.outputs) and places:
                    value = self.node["body"].outputs[index][1]
                    cut = [layout.of_block(value, at.of(view), at) for view in places]
                    self._copy_zeros(region, inner, index, cut)

        inner = block.nested()
        loop(inner, "s", time.steps, step, 0 if by_rows else layout.time.steps)
        if any(isinstance(item, For) and item.body for item in inner.statements):
            block.statements.extend(inner.statements)

    def _copy_zeros(self, region: Region, block: Block, index: int, places: Sequence[View]) -> None:
        """Write a loop that stores zeros at ``places``, one step of result ``index``."""
        zeros = zeros_like(self.layout.body.outputs[index][1])
        self._copy(region, block, zeros, places, self.plan.step.copies.zeros[index - len(self.layout.states)])

    def _copy(self, region: Region, block: Block, node: Node, places: Sequence[View], partition: Partition) -> None:
        """Write a loop that copies a value to ``places`` within a step."""
        if self.plan.sharing.estimate.by_rows and not partition.by_rows:
            raise VerifyError(f"one worker copies {label_of(node)}, in a scan without barriers between workers")
        copy_to(region, block, node, places, partition)

    # Ticks ---------------------------------------------------------------------------------------

    def _step_ticks(self) -> StepTicks | None:
        """Return timers that divide a profiled scan's time between the kernels of a step; None if nothing is measured.

        Return None if the entry is not profiled, or if a step has a single kernel and worker. Steps in blocks, and
        steps that are interleaved with those of other scans, have none either.
        """
        ticks, plan = self.writer.ticks, self.plan
        is_single = len(plan.kernels) == 1 and plan.sharing.workers.parts == 1
        if ticks is None or not self._is_sampled or is_single or self.layout.blocks is not None:
            return None
        if self._ticks is not None:
            return self._ticks
        whole, scan, active, memory = ticks.of(self._profile_slot()), self.node, plan.active, plan.step.memory
        slots = [Timed(WORK, item.kernel.members, "", item, memory, scan, active, whole) for item in plan.kernels]
        copies = Timed(COPY, (scan,), "copies of results", scan=scan, whole=whole)
        waits = Timed(WAIT, (), "waits for other workers", scan=scan, whole=whole)
        self._ticks = StepTicks(ticks, whole, [*slots, copies, waits])
        return self._ticks

    def _profile_slot(self, following: Sequence[ScanWriter] = ()) -> Timed:
        """Return the description under which a profile counts the time of the scan and of those ``following`` it."""
        plan = self.plan
        if following:
            nodes = tuple(node for scan in (self, *following) for node in scan.layout.body.nodes)
            text = ", ".join(scan.plan.comment for scan in (self, *following))
            return Timed(WORK, nodes, text, None, plan.step.memory, self.node, plan.active)
        one = plan.kernels[0] if len(plan.kernels) == 1 else None
        nodes = one.kernel.members if one is not None else self.layout.body.nodes
        return Timed(WORK, nodes, plan.comment, one, plan.step.memory, self.node, plan.active)

    # One step ------------------------------------------------------------------------------------

    def add_step(self, block: Block, s: Index, done: Index) -> None:
        """Write the code of step ``s`` of the current chunk. ``done`` is the number of steps of earlier chunks."""
        at = self._moment(block, s, done)
        self._begin_block(block, at)
        views = self.layout.inputs(at)
        when = self.layout.parts.when
        if when is None:
            self._step(block, views, at, s)
            return
        runs = block.fresh_index("runs")
        flag = ValueEmitter(block, views).value(when, ())
        block.add(LetIndex(runs, "of", 0, 2, block.let("cast", [flag], "int64", 1)))
        one, other = block.nested(), block.nested()
        self._step(one, views, at, s)
        self._skipped_step(other, views, at)
        block.add(When(size(runs), 1, 2, tuple(one.statements)))
        block.add(When(size(runs), 0, 1, tuple(other.statements)))

    def _moment(self, block: Block, s: Index, done: Index) -> Moment:
        """Return the position of step ``s`` in chunk and sequence. Write code for its parity, if that is needed."""
        at = replace(self.layout.moment(s), block=self._block)
        if self.layout.alternates:
            position = at.absolute + 1 if self.node["reverse"] else at.absolute
            name = block.fresh_index("slot")
            block.add(LetIndex(name, "parity", done + s if self.table is None else position))
            return replace(at, slot=size(name))
        if self.layout.exceeds_first_cache:
            return replace(at, slot=block.let_index("parity", "parity", done + s, 1))
        return at

    def _begin_block(self, block: Block, at: Moment) -> None:
        """Write code that runs before each block of steps: it loads initial values, or saves the carries."""
        layout, parts, chunk = self.layout, self.layout.parts, self.layout.chunk
        steps = parts.keeps if parts.blocks is None else parts.blocks
        if steps is None:
            return
        first_kept, views = len(layout.body.outputs), layout.carried(at)
        ran = parts.length - 1 - at.absolute if parts.reverse else at.absolute
        number, inner = block.fresh_index("block"), block.nested()
        block.add(LetIndex(number, "divide", ran, steps))
        for index, carry in enumerate(parts.carries):
            source, places = views[carry.inside], [views[carry.inside]]
            if parts.blocks is not None:
                source = chunk.memory.views[carry.initial].first_axis(size(number))
            else:
                users = layout.results.get(first_kept + index, ())
                kept = [view for user in users for view in chunk.memory.stores[user]]
                places = [view.first_axis(size(number)) for view in kept]
            if places:
                value = layout.of_step(carry.inside)
                memory = layout.memory({value: layout.of_block(carry.inside, source, at)})
                region = Region(chunk.target, memory, None, self.plan.sharing.workers)
                places = [layout.of_block(carry.inside, view, at) for view in places]
                self._copy(region, inner, value, places, self.plan.step.copies.carried[index])
        self._waits.add(inner)
        block.add(When(ran - size(number) * steps, 0, 1, tuple(inner.statements)))

    def _skipped_step(self, block: Block, views: Mapping[Node, View], at: Moment) -> None:
        """Write code that runs instead of a skipped step: it copies double-buffered carries, and stores zeros."""
        layout = self.layout
        region = Region(layout.chunk.target, layout.memory(views), None, self.plan.sharing.workers)
        carried = zip(layout.parts.carries, layout.states, self.plan.step.copies.carried, strict=True)
        for carry, state, partition in carried:
            if state.kind == DOUBLE_BUFFERED:
                self._copy(region, block, carry.inside, [state.after(at.slot, at.step_in(state.view))], partition)
        for index in range(len(layout.states), len(layout.body.outputs)):
            places = layout.result_places(index, at)
            if places:
                self._copy_zeros(region, block, index, places)
        if layout.overwrites_condition is None or layout.parts.blocks is not None:
            # A later step may run. If the condition is overwritten in place, it stays false, and no later step runs.
            self._waits.add(block)

    def _step(self, block: Block, views: Mapping[Node, View], at: Moment, s: Index) -> None:
        """Write the kernels and copies of a step that is not skipped, with barriers between them."""
        plan, layout = self.plan, self.layout
        memory, early, late = layout.step(views, at)
        region = step_region(layout, plan.sharing, memory, at.absolute, at.slot)
        step_ticks = self._step_ticks()
        ticks = None if step_ticks is None else step_ticks.step(block, s)

        def copies(passed: Sequence[tuple[Node, Places]], partitions: Sequence[Partition]) -> list[StepPart]:
            return [
                StepPart(
                    (),
                    len(plan.kernels),
                    partition,
                    partial(self._copy, region, block, value, places, partition),
                )
                for (value, places), partition in zip(passed, partitions, strict=True)
            ]

        parts = copies(early, plan.step.copies.early)
        for number, kernel in enumerate(plan.kernels):
            emit = partial(emit_kernel, region, block, kernel)
            parts.append(StepPart(kernel.kernel.members, number, kernel.partition, emit))
        parts += copies(late, plan.step.copies.late)
        self._waits.step(block, parts, layout.overwrites_condition, ticks)
