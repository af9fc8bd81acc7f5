"""Loops over chunks of time with interleaved scans: one loop, or several that run as one.

An iteration of the loop runs each kernel once, for the kernel's current chunk. In a stack of layers, the scan of a
layer is one chunk behind the scan of the layer below. A kernel does nothing before its first chunk and after its last.
The first iterations, in which some kernels have no chunk yet, are written before the loop.

One function alternates between the steps of interleaved scans while all of them have steps left. The remaining steps of
each scan are in a function of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from itertools import combinations

from ....ir.graph import Node
from ....ir.types import size, substitute
from ....support.errors import VerifyError
from ....support.records import dataclass
from ...analysis.node_kinds import label_of
from ...buffers.memory import Memory
from ...cost_model.chunk_length import MAX_CHUNK
from ...cost_model.interleaving import InterleavingPlan, Phase
from ...kernels.kernel_plan import KernelPlan
from ...loop_ir.builder import Block, loop
from ...loop_ir.effects import Effects
from ...loop_ir.nodes import Buffer, For, Index, LetIndex, Statement, When
from ...loop_ir.renaming import renamed
from ..plan.chunks import Chunks
from ..plan.group_plan import GroupPlan, TimeLoopPlan
from ..plan.scan_plan import ScanPlan
from .entry_writer import EntryWriter
from .scan_writer import ScanWriter
from .ticks import WORK, Timed
from .time_loop import joined


@dataclass(frozen=True, eq=False)
class TimeLoop:
    """Loop over chunks of time that is not written yet.

    Attributes:
        group: Plan of the loop's fusion group.
        scans: Writers of scans, by index of the kernel.
        run: Function that writes the kernel with an index, for the current chunk.
    """

    group: GroupPlan
    scans: Mapping[int, ScanWriter]
    run: Callable[[int], None]

    @property
    def plan(self) -> TimeLoopPlan:
        """Plan of the loop."""
        assert self.group.loop is not None
        return self.group.loop

    @property
    def chunks(self) -> Chunks:
        """Chunks of time."""
        return self.plan.chunks


@dataclass(frozen=True)
class PlacedKernel:
    """Kernel with its position in an iteration of the loop.

    Attributes:
        loop: Loop to which the kernel belongs.
        number: Index in that loop.
        phase: Number of chunks by which the kernel lags behind the loop, and its position in an iteration.
        lagged: The kernel's current chunk.
        statements: Statements for the current chunk; empty for an interleaved scan.
        effects: Effects on memory.
        scan: Writer of the scan, if the kernel is interleaved.
    """

    loop: TimeLoop
    number: int
    phase: Phase
    lagged: Chunks
    statements: tuple[Statement, ...]
    effects: Effects
    scan: ScanWriter | None = None

    @property
    def order(self) -> tuple[int, int, int]:
        """Key that sorts kernels in an iteration. Interleaved scans have equal keys."""
        return (*self.phase, 0 if self.scan is not None else self.number)


def add_interleaved(writer: EntryWriter, plan: InterleavingPlan, loops: Sequence[TimeLoop]) -> None:
    """Add one loop that runs ``loops`` with interleaved scans.

    Raises:
        VerifyError: Kernels would access memory in another order than if the loops ran one after another.
    """
    interleaved = _InterleavedLoop(writer, plan, loops)
    check_order(interleaved.placed)
    interleaved.add()


class _InterleavedLoop:
    """Writer of a loop with interleaved scans."""

    def __init__(self, writer: EntryWriter, plan: InterleavingPlan, loops: Sequence[TimeLoop]) -> None:
        self.writer, self.plan, self.loops = writer, plan, loops
        self.number = loops[0].chunks.number
        self.iteration, self.first = f"turn{self.number}", f"first{self.number}"
        self.placed = list(self._kernel_statements())
        self.timed = {place: self._profile_slot(place) for place in plan.gains}
        # The first iterations and the loop call the same functions, so each function is written once.
        self._remaining: dict[int, list[Statement]] = {}
        self._zeros: dict[int, list[Statement]] = {}
        self._interleaved: dict[int, list[Statement]] = {}

    def _interleaved_scans(self, place: int) -> list[ScanWriter]:
        """Return the scans that are interleaved at one position of an iteration."""
        return [item.scan for item in self.placed if item.scan is not None and item.phase[1] == place]

    def _profile_slot(self, place: int) -> Timed:
        """Return the description under which a profile counts the time of scans interleaved at one position."""
        scans = self._interleaved_scans(place)
        names = ", ".join(dict.fromkeys(label_of(scan.node) for scan in scans))
        text = f"{len(scans)} scans beside each other: {names}  {scans[0].node.where}"
        nodes = tuple(node for scan in scans for kernel in scan.plan.kernels for node in kernel.kernel.members)
        memory = reduce(_union, (scan.plan.step.memory for scan in scans))
        return Timed(WORK, nodes, text, memory=memory, scan=scans[0].node)

    def _kernel_statements(self) -> Iterator[PlacedKernel]:
        """Yield all kernels of all loops, with position, effects on memory, and statements for a chunk."""
        for item, phases in zip(self.loops, self.plan.phases, strict=True):
            for number, phase in enumerate(phases):
                scan = item.scans[number] if phase[1] % 2 else None
                if scan is None:
                    captured = self.writer.captured(partial(item.run, number))
                    statements = captured
                else:
                    captured, statements = self._one_step(item, scan), []
                effects = self.writer.effects(captured)
                lagged = replace(item.chunks, lag=phase[0])
                lagged_statements = _for_lagged_chunk(statements, item.chunks, lagged)
                yield PlacedKernel(item, number, phase, lagged, lagged_statements, effects, scan)

    @staticmethod
    def _one_step(item: TimeLoop, scan: ScanWriter, block: Block | None = None, s: Index = 0) -> list[Statement]:
        """Return the statements of one step of a scan, in the current chunk."""
        step = Block() if block is None else block.nested()
        with step.at(scan.node.where):
            scan.add_step(step, s, size(item.chunks.chunk))
        return step.statements

    def add(self) -> None:
        """Add the loop to the entry, after first iterations in which later layers have no chunk yet."""
        chunks, steps, last = self.loops[0].chunks, self.plan.steps, self.plan.last
        for iteration in range(last):
            begin = iteration * steps
            first = For(
                self.iteration,
                begin,
                begin + 1,
                1,
                tuple(self._iteration(iteration)),
                f"time, {chunks.direction()}, iteration {iteration}",
            )
            self.writer.block.add(first)
        steps_text = f"{steps} steps at a time" if steps < MAX_CHUNK else "all steps at once"
        comment = (
            f"time, {', '.join(item.chunks.direction() for item in self.loops)}, scans beside each other, {steps_text}"
        )
        stop = chunks.length + last * steps
        self.writer.block.add(For(self.iteration, last * steps, stop, steps, tuple(self._iteration()), comment))

    def _iteration(self, number: int | None = None) -> Iterator[Statement]:
        """Yield the statements of an iteration of the loop, or of iteration ``number`` that precedes the loop."""
        placed = [item for item in self.placed if number is None or item.phase[0] <= number]
        for lagged, depth in dict.fromkeys((item.lagged, self._depth(item.loop)) for item in placed):
            yield from self._head(lagged, depth)
        for place in sorted({item.phase[1] for item in placed}):
            kernels = [item for item in placed if item.phase[1] == place]
            if place % 2 == 0:
                for item in kernels:
                    yield from self._if_chunk_exists(item, item.statements)
                continue
            if len(kernels) == len(self._interleaved_scans(place)):
                yield from self._interleave(place, kernels)
            else:
                for item in kernels:
                    yield from self._if_chunk_exists(item, self._remaining_steps(item, 0))
            for item in kernels:
                yield from self._if_chunk_exists(item, self._zeros_of_ended(item))

    def _depth(self, item: TimeLoop) -> int:
        """Return the number of buffers between which a loop alternates for the values of a chunk."""
        return next(depth for other, depth in zip(self.loops, self.plan.depths, strict=True) if other is item)

    def _head(self, chunks: Chunks, depth: int) -> list[Statement]:
        """Return the statements that compute the current chunk's sizes: its index, steps and buffer.

        After the last chunk, the number of steps is 0 or negative.
        """
        steps = self.plan.steps
        statements: list[Statement] = [LetIndex(chunks.chunk, "max", size(self.iteration) - chunks.lag * steps, 0)]
        statements += chunks.head(steps)
        if depth > 1:
            iteration, before = f"turn_of_{chunks.chunk}", f"before_{chunks.chunk}"
            statements.append(LetIndex(iteration, "divide", size(chunks.chunk), steps))
            statements.append(LetIndex(before, "floor", size(iteration), depth))
            statements.append(LetIndex(chunks.slot, "max", size(iteration) - size(before), 0))
        return statements

    def _if_chunk_exists(self, item: PlacedKernel, statements: Sequence[Statement]) -> Sequence[Statement]:
        """Return the statements, which run only if the kernel's current chunk exists."""
        if not self.plan.last or not statements:
            return statements
        return [When(size(item.lagged.steps), 1, MAX_CHUNK + 1, tuple(statements))]

    def _remaining_steps(self, item: PlacedKernel, first: Index) -> tuple[Statement, ...]:
        """Return the statements that run a scan's steps of a chunk from ``first`` on alone, not interleaved."""
        assert item.scan is not None
        run, done, timed = item.scan.run_from, size(item.loop.chunks.chunk), self.timed[item.phase[1]]
        if id(item) not in self._remaining:
            self._remaining[id(item)] = self.writer.captured(lambda: run(size(self.first), done, timed))
        statements = self._remaining[id(item)]
        return _renamed(_for_lagged_chunk(statements, item.loop.chunks, item.lagged), {self.first: first})

    def _zeros_of_ended(self, item: PlacedKernel) -> tuple[Statement, ...]:
        """Return the statements after a scan's steps, which write zeros to the results of ended rows."""
        assert item.scan is not None
        if id(item) not in self._zeros:
            self._zeros[id(item)] = self.writer.captured(partial(item.scan.fill_ended, self.timed[item.phase[1]]))
        return _for_lagged_chunk(self._zeros[id(item)], item.loop.chunks, item.lagged)

    def _interleave(self, place: int, kernels: Sequence[PlacedKernel]) -> Iterator[Statement]:
        """Yield statements that alternate steps of several scans while all have steps, and then run what remains."""
        lengths = [_steps(item) for item in kernels]
        common, timed = lengths[0], self.timed[place]
        # Chunks with equal indices have equal lengths in all loops, unless steps without active rows are skipped.
        differ = len({item.phase[0] for item in kernels}) > 1 or any(item.loop.chunks.active for item in kernels)
        for number, length in enumerate(lengths[1:] if differ else ()):
            name = f"common{self.number}_{place}_{number}"
            yield LetIndex(name, "min", common, length)
            common = size(name)
        if self.plan.last:
            name = f"common{self.number}_{place}"
            yield LetIndex(name, "max", common, 0)
            common = size(name)
        if place not in self._interleaved:
            block = Block(origin=self._interleaved_scans(place)[0].node.where)
            loop(block, "s", common, lambda inner, s: self._step(inner, s, place, kernels))
            with self.writer.timing(timed):
                call = partial(self.writer.function, block, timed.text, "beside", serial=True)
                self._interleaved[place] = self.writer.captured(call)
        yield from self._interleaved[place]
        for item, length in zip(kernels, lengths, strict=True) if differ else ():
            yield When(length - common, 1, MAX_CHUNK + 1, self._remaining_steps(item, common))

    def _step(self, block: Block, s: Index, place: int, kernels: Sequence[PlacedKernel]) -> None:
        """Add step ``s`` of each interleaved scan to ``block``, statements alternating or one scan after another."""
        step_statements = [
            _for_lagged_chunk(self._one_step(item.loop, item.scan, block, s), item.loop.chunks, item.lagged)
            for item in kernels
            if item.scan is not None
        ]
        block.statements += (
            _alternating(step_statements) if place in self.plan.by_statement else joined(step_statements)
        )


def _union(one: Memory, other: Memory) -> Memory:
    """Return a memory with the views and stores of both memories."""
    return replace(one, views={**one.views, **other.views}, stores={**one.stores, **other.stores})


def _steps(item: PlacedKernel) -> Index:
    """Return the number of steps that a scan runs in its current chunk."""
    assert item.scan is not None
    names = map(size, _names(item.lagged))
    return substitute(item.scan.layout.time.steps, dict(zip(_names(item.loop.chunks), names, strict=True)))


def _for_lagged_chunk(statements: Sequence[Statement], chunks: Chunks, lagged: Chunks) -> tuple[Statement, ...]:
    """Return statements written for the current chunk, with its sizes replaced by those of the ``lagged`` chunk."""
    names = zip(_names(chunks), map(size, _names(lagged)), strict=True)
    return tuple(statements) if not lagged.lag else _renamed(statements, dict(names))


def _names(chunks: Chunks) -> tuple[str, ...]:
    """Return the names of the sizes of a current chunk."""
    return chunks.chunk, chunks.steps, chunks.start, chunks.slot, *chunks.runs


def _renamed(statements: Sequence[Statement], names: Mapping[str, Index]) -> tuple[Statement, ...]:
    """Return statements in which indices replace named sizes."""
    return renamed(statements, None, names)


def _alternating(lists: Sequence[Sequence[Statement]]) -> list[Statement]:
    """Merge lists of statements evenly, keeping the order within each list: ``[a, b], [c, d] → [a, c, b, d]``."""
    places = [
        ((place + 1) / len(statements), number, place)
        for number, statements in enumerate(lists)
        for place in range(len(statements))
    ]
    return [lists[number][place] for _, number, place in sorted(places)]


def check_order(placed: Sequence[PlacedKernel]) -> None:
    """Raise ``VerifyError`` unless kernels access shared memory in the order of loops that run one after another.

    The check uses only the reads and writes of the kernels. A failure is a bug of this package.
    """
    for one, other in combinations(placed, 2):
        (read, wrote, _), (read_by_other, wrote_by_other, _) = one.effects, other.effects
        common = (wrote & (read_by_other | wrote_by_other)) | (read & wrote_by_other)
        if not common:
            continue
        if one.loop is not other.loop:
            _fail(one, other, common)
        buffers = one.loop.plan.buffers
        if not one.order < other.order:
            _fail(one, other, common)
        # Different chunks use different parts of a sequence. Chunks fewer than ``depth`` apart use different slots.
        for buffer in common - buffers.sequences - buffers.indices:
            ahead = buffers.depth if buffer in buffers.slots else 1
            lag, place, number = one.order
            if not other.order < (lag + ahead, place, number):
                _fail(one, other, {buffer})


def _fail(one: PlacedKernel, other: PlacedKernel, common: set[Buffer]) -> None:
    """Raise the error for two kernels that use the buffers ``common`` in a wrong order."""
    names = ", ".join(sorted(buffer.name for buffer in common))
    kernels = " and ".join(label_of(_first(item.loop.group.kernels[item.number])) for item in (one, other))
    raise VerifyError(f"a loop with interleaved scans changes the order in which {kernels} use {names}")


def _first(kernel: KernelPlan | ScanPlan) -> Node:
    """Return the first node of a kernel."""
    return kernel.node if isinstance(kernel, ScanPlan) else kernel.kernel.first
