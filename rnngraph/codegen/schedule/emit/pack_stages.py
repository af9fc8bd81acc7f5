"""Packing of many weights in stages.

Only one stage's parameters and intermediate values are in memory at a time. A stage is a part of packing that shares
no computed value with other stages. Its result has a separate slot, and a key that is equal in all entries that pack
the same values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ....ir.types import Dim, size
from ....support.records import dataclass
from ...loop_ir.functions import Entry, Function
from ...loop_ir.nodes import Buffer, Call, Renaming, Statement, When
from ...loop_ir.parts import independent_parts
from ...loop_ir.renaming import free, renamed, work_of
from ...machine.alignment import padded
from ...machine.interface import Packing, PackStage
from .scheduled_entry import ScheduledEntry

MIN_BYTES = 1 << 20
"""Minimum bytes of packed weights and intermediate values for several stages."""
MIN_STAGE_BYTES = 1 << 16
"""Minimum bytes of a part's parameters and results for a stage of its own. Smaller parts are in the first stage."""
BEGIN, END, SCRATCH = "pack_begin", "pack_end", "pack_scratch"
"""Names of the slots for the range of stages to run, and for the memory of intermediate values."""


@dataclass(frozen=True)
class Part:
    """Statements that pack some of the weights, and are independent of the other statements.

    Attributes:
        key: Digest that is equal for parts of all entries that pack the same values; empty for the first part.
        statements: Statements of the part.
        parameters: Names of the parameters that the statements read.
        results: Buffers that the main function reads, with their bytes.
        scratch: Other buffers that the statements write, with their bytes.
    """

    key: str
    statements: tuple[Statement, ...]
    parameters: tuple[str, ...]
    results: Mapping[Buffer, int]
    scratch: Mapping[Buffer, int]


def in_stages(plan: ScheduledEntry) -> tuple[ScheduledEntry, Packing | None]:
    """Return the entry with its packing of weights split into stages, and these stages; None if there are none.

    If there is little to pack, or the entry is profiled, return the same entry and None.
    """
    if plan.panel_bytes < MIN_BYTES or plan.ticks is not None:
        return plan, None
    parts = parts_of(plan)
    stages = ["panels", *(f"packed{number}" for number in range(len(parts) - 1))]
    slots = (*plan.main.slots, SCRATCH, BEGIN, END, *stages[1:])
    position = {slot: number for number, slot in enumerate(slots)}
    places = dict(plan.main.places) | dict(plan.pack.places)
    packed = list[PackStage]()
    for slot, part in zip(stages, parts, strict=True):
        results, result_bytes = _offsets(part.results)
        scratch, scratch_bytes = _offsets(part.scratch)
        places |= {buffer: (slot, offset) for buffer, offset in results.items()}
        places |= {buffer: (SCRATCH, offset) for buffer, offset in scratch.items()}
        packed.append(PackStage(part.parameters, position[slot], result_bytes, scratch_bytes, part.key))
    body = tuple(_if_in_range(number, part.statements) for number, part in enumerate(parts))
    pack = replace(plan.pack.function, body=body, sizes=(BEGIN, END))
    packing = Packing(position[BEGIN], position[END], position[SCRATCH], tuple(packed))

    def entry(old: Entry, function: Function) -> Entry:
        return replace(
            old, function=function, slots=slots, places={buffer: places[buffer] for buffer in function.buffers}
        )

    return replace(plan, main=entry(plan.main, plan.main.function), pack=entry(plan.pack, pack)), packing


def parts_of(plan: ScheduledEntry) -> list[Part]:
    """Return independent parts of an entry's packing of weights. The first one combines all small parts."""
    names = plan.entry_plan.entry.arguments.parameters
    bytes_of = {item.name: item.bytes for item in plan.arguments if item.kind == "parameter"}
    main, panels, keys = {*plan.main.function.buffers}, plan.panel_places, _Keys(plan)
    small, parts = list[Statement](), list[Part]()

    def part(statements: Sequence[Statement]) -> Part:
        buffers = free(statements)[0]
        panel_bytes = {buffer: panels[buffer.name][1] for buffer in buffers if buffer.name in panels}
        return Part(
            "",
            tuple(statements),
            tuple(names[buffer] for buffer in buffers if buffer in names),
            {buffer: count for buffer, count in panel_bytes.items() if buffer in main},
            {buffer: count for buffer, count in panel_bytes.items() if buffer not in main},
        )

    for statements in independent_parts(plan.pack.function.body, panels):
        candidate = part(statements)
        if sum(candidate.results.values()) + sum(map(bytes_of.__getitem__, candidate.parameters)) < MIN_STAGE_BYTES:
            small += statements
        else:
            parts.append(replace(candidate, key=keys.of(candidate)))
    return [part(small), *parts]


def _offsets(buffers: Mapping[Buffer, int]) -> tuple[dict[Buffer, Dim], int]:
    """Return the offsets of buffers that are stored one after another, and their total size."""
    places, total = dict[Buffer, Dim](), 0
    for buffer, count in buffers.items():
        places[buffer] = total
        total += padded(count)
    return places, total


def _if_in_range(number: int, statements: tuple[Statement, ...]) -> Statement:
    """Return a statement that runs ``statements`` if the stage ``number`` is in the range of stages to run."""
    return When(number, size(BEGIN), size(END), statements)


class _Keys:
    """Function from parts to keys. Parts with equal keys compute the same values from parameters of the same names."""

    def __init__(self, plan: ScheduledEntry) -> None:
        self._functions = {function.name: function for function in plan.functions}
        self._digests: dict[str, str] = {}
        self._arguments = {
            item.buffer: item.name if item.value is None else _digest(item.dtype, item.shape, item.value.tobytes())
            for item in plan.arguments
        }

    def of(self, part: Part) -> str:
        """Return a digest of a part's work and parameters' names, equal in all entries that pack the same values."""
        buffers = free(part.statements)[0]
        numbered = {
            buffer: Buffer(self._arguments.get(buffer, f"{number}"), buffer.dtype)
            for number, buffer in enumerate(buffers)
        }
        body = renamed(part.statements, numbered, {})
        named = [(numbered[buffer], count) for buffer, count in part.results.items()]
        return _digest(self._work(Function("", (), (), body)), named)

    def _work(self, function: Function) -> tuple[object, ...]:
        """Return a key that is equal for functions that do the same work.

        Functions that it calls are identified by their digests, not by their names.
        """
        return work_of(replace(function, body=_WithDigests(digest_of=self._digest_of).body(function.body)))

    def _digest_of(self, name: str) -> str:
        """Return a digest of the work of a function and of all functions that it calls."""
        if name not in self._digests:
            self._digests[name] = _digest(self._work(self._functions[name]))
        return self._digests[name]


@dataclass(frozen=True)
class _WithDigests(Renaming):
    """Replacement of the names of called functions by the digests of their work."""

    digest_of: Callable[[str], str] = str

    def statement(self, statement: Statement) -> Statement:
        if isinstance(statement, Call):
            return replace(statement, function=self.digest_of(statement.function))
        return statement.renamed(self)


def _digest(*content: object) -> str:
    """Return a digest of the text of some objects."""
    return hashlib.sha256(repr(content).encode()).hexdigest()
