"""Third phase of scheduling: write an entry's loop IR from its plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from ....ir.types import Dim
from ...buffers.arena import extents
from ...loop_ir.functions import Entry, Function
from ...loop_ir.memory_check import check_memory
from ...loop_ir.nodes import Buffer, Statement
from ...loop_ir.parts import independent_parts
from ...loop_ir.renaming import free
from ...loop_ir.worker_names import TEAM
from ..plan.copy_plan import CopyPlan, before_loops
from ..plan.entry_plan import EntryPlan
from ..plan.group_plan import GroupPlan, SectionPlan
from ..plan.scan_plan import ScanPlan
from .entry_writer import EntryWriter
from .interleaved_loop import TimeLoop, add_interleaved
from .kernel_calls import call_copy, call_kernel, call_row_copy, write_table
from .scan_writer import ScanWriter
from .scheduled_entry import ScheduledEntry
from .ticks import COUNTERS, PACK, Ticks, Timed
from .time_loop import add_loop, add_pipeline


def emit_entry(plan: EntryPlan, name: str, timed: bool = False) -> ScheduledEntry:
    """Return the loop IR of a planned entry and its functions. It measures the time of its parts if ``timed``."""
    writer = EntryWriter(plan.memory.panels, plan.parts, Ticks(plan.parts) if timed else None)
    for section in plan.sections:
        with writer.block.at(section.origin):
            _write_section(writer, section)
    return _finish(plan, writer, name)


# Sections ----------------------------------------------------------------------------------------


def _write_section(writer: EntryWriter, section: SectionPlan) -> None:
    """Write the loop IR of one part of a plan: a fusion group, or several whose scans are interleaved."""
    for group in section.groups:
        for table in group.tables:
            write_table(writer, table)
    if section.interleaving is not None:
        for group in section.groups:
            _begin(writer, group)
        loops = [_time_loop(writer, group) for group in section.groups]
        add_interleaved(writer, section.interleaving, loops)
        for loop in loops:
            _end(loop)
        return
    (group,) = section.groups
    if group.loop is not None:
        _write_loop(writer, group)
    elif group.prepared:
        with writer.preparing():
            _write_kernels(writer, group)
    else:
        _write_kernels(writer, group)


def _write_kernels(writer: EntryWriter, group: GroupPlan) -> None:
    """Write the copies and kernels of a group without a loop over time."""
    _begin(writer, group)
    for number in range(len(group.kernels)):
        _run(writer, group, {}, number)


def _write_loop(writer: EntryWriter, group: GroupPlan) -> None:
    """Write a group's loop over chunks of time, sequential or as a pipeline."""
    loop = _time_loop(writer, group)
    kernels = [partial(loop.run, number) for number in range(len(group.kernels))]
    if loop.plan.pipeline is None:
        _begin(writer, group)
        add_loop(writer, loop.chunks, kernels)
    else:
        add_pipeline(writer, loop.plan, partial(_begin, writer, group), kernels)
    _end(loop)


def _time_loop(writer: EntryWriter, group: GroupPlan) -> TimeLoop:
    """Return a group's loop over time before it is written, with functions that write its scans and kernels."""
    scans = dict[int, ScanWriter]()
    for number, kernel in enumerate(group.kernels):
        if isinstance(kernel, ScanPlan):
            is_interleaved = bool(group.phases) and group.phases[number][1] % 2 == 1
            scans[number] = ScanWriter(writer, kernel, is_sampled=not is_interleaved)
    return TimeLoop(group, scans, partial(_run, writer, group, scans))


def _run(writer: EntryWriter, group: GroupPlan, scans: Mapping[int, ScanWriter], number: int) -> None:
    """Write kernel ``number`` of a group; within a loop over time, for the current chunk.

    Scans that follow another scan block by block are written together with that scan.
    """
    kernel = group.kernels[number]
    if isinstance(kernel, ScanPlan):
        assert group.chunks is not None
        if not kernel.follows:
            scans[number].run(group.chunks.done, [*_following(group, scans, number)])
    else:
        call_kernel(writer, group.region, kernel)


def _following(group: GroupPlan, scans: Mapping[int, ScanWriter], number: int) -> Iterator[ScanWriter]:
    """Yield the scans after kernel ``number`` that run each block directly after the same block of that kernel."""
    for later in range(number + 1, len(group.kernels)):
        kernel = group.kernels[later]
        if not isinstance(kernel, ScanPlan) or not kernel.follows:
            return
        yield scans[later]


def _begin(writer: EntryWriter, group: GroupPlan) -> None:
    """Write copies that precede a group's kernels, such as initial values of scans."""
    before = before_loops(group.region)
    for copy in group.copies:
        if isinstance(copy, CopyPlan):
            call_copy(writer, before, copy)
        else:
            call_row_copy(writer, before, copy)


def _end(loop: TimeLoop) -> None:
    """Write the statements that follow a loop over time, such as copies of its scans' final states."""
    for scan in loop.scans.values():
        scan.end()


# The entry ---------------------------------------------------------------------------------------


def _finish(plan: EntryPlan, writer: EntryWriter, name: str) -> ScheduledEntry:
    """Assign offsets to temporaries, verify the use of memory, and return the complete loop IR of the entry."""
    arguments, arena, panels, ticks = plan.entry.arguments, plan.memory.arena, plan.memory.panels, writer.ticks
    statements = tuple(writer.block.statements)
    arena.place(statements)
    places: dict[Buffer, tuple[str, Dim]] = {item.buffer: (item.buffer.name, 0) for item in arguments.items}
    places[TEAM] = (TEAM.name, 0)
    places.update(arena.places)
    places.update({buffer: ("panels", offset) for buffer, (offset, _) in panels.places.items()})
    pack = panels.pack_function(f"{name}_pack", writer.preparation)
    computed = {buffer.name for buffer in panels.places}
    pack = replace(pack, body=tuple(chain.from_iterable(independent_parts(pack.body, computed))))
    if ticks is not None:
        places[COUNTERS] = (COUNTERS.name, 0)
        statements = (ticks.begin(), *statements, ticks.count(ticks.rest))
        pack = replace(pack, body=(ticks.begin(), *_timed_packing(plan, pack.body, ticks)))
    used, packed = free(statements)[0], free(pack.body)[0]
    sizes = [size for size in plan.entry.graph.symbols if not size.startswith("_")]
    strides = [size for names in arguments.strides.values() for size in names]
    main = Function(name, used, (*sizes, *strides), statements, "the entry")
    functions = (*writer.functions.values(), *panels.functions)
    results = [item.buffer for item in arguments.items if item.kind == "output" and 0 not in item.shape]
    loops = [group.loop for group in plan.groups if group.loop is not None]
    pipelines = {loop.states: loop.buffers for loop in loops if loop.states is not None}
    check_memory(name, statements, functions, extents(arena), results, pipelines)
    slots = list(dict.fromkeys(item.buffer.name for item in arguments.items))
    slots = [*slots, "arena", "panels", TEAM.name, *sizes, *strides, *([] if ticks is None else [COUNTERS.name])]

    def entry(function: Function) -> Entry:
        return Entry(function.name, function, tuple(slots), {buffer: places[buffer] for buffer in function.buffers})

    return ScheduledEntry(plan, functions, entry(main), entry(replace(pack, buffers=packed)), tuple(sizes), ticks)


def _timed_packing(plan: EntryPlan, statements: Sequence[Statement], ticks: Ticks) -> Iterator[Statement]:
    """Yield the statements that pack parameters, each followed by a timer that counts its time for its parameter.

    The time of a statement that reads several parameters is added to the slot of the first one. The time of a statement
    that reads no parameter counts for the next statement that does.
    """
    nodes = {str(node["label"]): node for node in plan.entry.graph.inputs if node.op == "parameter"}
    parameter_of = {buffer: nodes[name] for buffer, name in plan.entry.arguments.parameters.items()}
    for statement in statements:
        yield statement
        if packed := [parameter_of[buffer] for buffer in statement.uses().reads if buffer in parameter_of]:
            yield ticks.count(ticks.of(Timed(PACK, tuple(packed[:1]), "packs weights")))
