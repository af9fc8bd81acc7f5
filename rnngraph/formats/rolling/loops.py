"""Equal steps that are written out one behind the other, rolled up into a driver.

Steps are equal where they do the same, whatever they are made of. ``loops_in`` finds the longest run of rounds of equal
steps in which each value of a round is made of values of the same round, of what the round before made, of what all
rounds share, or of what stands at the round's place along an axis. ``lifting`` declares what comes of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np

from ...declare.cell import Cell
from ...declare.functions.sequences import positions
from ...declare.parameters import parameter
from ...declare.placeholders import placeholder
from ...ir.types import Dim
from ..script import Script
from ..steps import Index, Step, Value
from .loop import DRIVERS, Carried, Entries, Inner, Loop, Operand, Shared, code_of, operands_of

FEWEST = 3
"""Rounds that are worth a loop, where no recurrent cell is among the steps; two else."""
MOST_STEPS = 20_000
"""Steps of a script in which loops are looked for."""
MOST_CANDIDATES = 200
"""Runs of equal steps that are looked at."""
MOST_BEGINNINGS = 3
"""Places at which a round may begin that are tried: at some, what is carried on is no state."""
MOST_LOOKED_AT = 2_000_000
"""Steps that are looked at in all these runs, at all places at which a round may begin."""


def outside_of_loops(steps: Sequence[Step]) -> set[Step]:
    """Steps that may stand before all loops: what is declared once, entries of such, and what is made of such alone and
    does what no other step does.
    """
    codes = {step: code_of(step) for step in steps}
    counts = Counter(codes.values())
    outside: set[Step] = set()
    fixed: dict[Step, Any] = {}
    """Steps that are made of parameters alone, or of sizes alone."""
    for step in steps:
        values = [item for item in operands_of(step) if isinstance(item, Value)]
        kinds = {fixed.get(item.step) for item in values}
        if step.key in (parameter, positions):
            fixed[step] = step.key
        elif len(kinds) == 1 and None not in kinds:
            fixed[step] = kinds.pop()
        if not all(item.step in outside for item in values):
            continue
        declared = step.key is placeholder or isinstance(step.thing, Cell)
        if declared or step in fixed or isinstance(step.key, Index) or counts[codes[step]] == 1:
            outside.add(step)
        if step.fill is not None:  # what is made of a state that rounds begin with belongs to the first of them
            fixed.pop(step, None)
    return outside


def without_entries(steps: Sequence[Step]) -> list[Step]:
    """Steps but for those that take entries of what stands before loops: of one value more than there are values of its
    kind of which such are taken, as rounds take some of a value of their own.
    """
    codes = {step: code_of(step) for step in steps}
    families: Counter[Any] = Counter(_family(step) for step in steps if _takes(step))

    def kind_of(step: Step) -> Any:
        source = step.operands[0].step
        return codes.get(source, source), _family(step)[1:]

    kinds = Counter(kind_of(step) for step in {_family(step): step for step in steps if _takes(step)}.values())

    def is_entry(step: Step) -> bool:
        if not _takes(step) or families[_family(step)] < 2:
            return False
        return families[_family(step)] > kinds[kind_of(step)]

    return [step for step in steps if not is_entry(step)]


def _takes(step: Step) -> bool:
    """Whether a step takes an item."""
    return isinstance(step.key, Index)


def takes_entries(script: Script) -> bool:
    """Whether entries of one axis are taken one by one, as rounds do that are written out."""
    taken = Counter(_family(step) for step in script.steps if _takes(step) and _is_one(step.key.index))
    return max(taken.values(), default=0) >= FEWEST


def _is_one(index: Sequence[Any]) -> bool:
    """Whether an index takes one entry of an axis, all of others."""
    return [type(entry) for entry in index if entry != slice(None)] == [int]


def _family(step: Step) -> Any:
    """What steps have in common that take entries of one axis."""
    source = step.operands[0]

    def pattern(entry: Any) -> Any:
        plain = type(entry) is slice and entry.step is None and type(entry.stop) in (int, type(None))
        if plain and entry != slice(None) and _stop(entry) - (entry.start or 0) == 1:
            return slice
        return int if type(entry) is int else repr(entry)

    return id(source.step), source.path, tuple(map(pattern, step.key.index))


def loops_in(steps: Sequence[Step], later: Mapping[Step, list[tuple[Step | None, Value]]]) -> Iterator[Loop]:
    """Loops, those that cover most of the steps first. later: who reads what a step gives; None stands for outputs."""
    if not 2 <= len(steps) <= MOST_STEPS:
        return
    numbers: dict[Any, int] = {}
    codes = np.array([numbers.setdefault(code_of(step), len(numbers)) for step in steps])
    candidates: list[tuple[int, int, int, int]] = []
    for period in range(1, len(codes) // 2 + 1):
        for start, length in _runs(codes[:-period] == codes[period:]):
            if length >= period:
                covered = (length + period) // period * period
                candidates.append((-covered, period, start, length + period))
    candidates.sort()
    left = [MOST_LOOKED_AT]
    for _, period, start, length in candidates[:MOST_CANDIDATES]:
        yield from _best_of(steps, start, period, length, later, left)


def _runs(equal: np.ndarray) -> Iterator[tuple[int, int]]:
    """(start, length) of runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        yield int(start), int(stop - start)


def _best_of(
    steps: Sequence[Step], start: int, period: int, length: int, later: Any, left: list[int]
) -> list[Loop]:  # fmt: skip
    """Of the places at which a round may begin those with the most rounds, then the fewest carried values. left: how
    many steps may be looked at yet.
    """
    best: tuple[int, int, int] | None = None
    found: list[tuple[tuple[int, int, int], Loop]] = []
    for offset in range(min(period, length - period + 1)):
        count = (length - offset) // period
        left[0] -= count * period
        if left[0] < 0 or (best is not None and -count > best[0]):
            break
        first = start + offset
        rounds = [list(steps[first + number * period : first + (number + 1) * period]) for number in range(count)]
        loop = _checked(rounds, later) or _checked(_longest_alike(rounds), later)
        if loop is None:
            continue
        carried = sum(isinstance(item, Carried) for items in loop.operands for item in items)
        score = (-loop.count, carried, offset)
        found.append((score, loop))
        best = score if best is None else min(best, score)
    found.sort(key=itemgetter(0))
    return [loop for _, loop in found[:MOST_BEGINNINGS]]


def _longest_alike(rounds: list[list[Step]]) -> list[list[Step]]:
    """The longest run of rounds of which each hangs on the one before as that does on the one before it."""
    links = [_link(before, after) for before, after in pairwise(rounds)]
    best = first = 0
    length = 1
    for number in range(len(links)):
        if number == 0 or links[number] != links[number - 1]:
            first = number
        if number + 2 - first > length:
            best, length = first, number + 2 - first
    return rounds[best : best + length]


def _link(before: list[Step], after: list[Step]) -> list[Any]:
    """What each operand of a round is, as seen from the round before."""
    old, new = ({step: place for place, step in enumerate(steps)} for steps in (before, after))
    found: list[Any] = []
    for a, b in zip(
        (i for s in before for i in operands_of(s)), (i for s in after for i in operands_of(s)), strict=True
    ):
        if not isinstance(b, Value):
            found.append("literal" if _equal_literals(a, b) else object())
        elif b.step in new or b.step in old:
            found.append((b.step in new, new.get(b.step, old.get(b.step)), b.path))
        elif isinstance(a, Value) and a.step is b.step and a.path == b.path:
            found.append("same")
        elif isinstance(a, Value) and isinstance(a.step.key, Index) and isinstance(b.step.key, Index):
            found.append((_family(a.step), _family(b.step)))
        else:
            found.append(object())
    return found


def _checked(rounds: list[list[Step]], later: Any) -> Loop | None:
    """The loop that rounds of equal steps make, if they make one."""
    has_cell = any(step.key in DRIVERS for step in rounds[0])
    if len(rounds) < (2 if has_cell else FEWEST):
        return None
    places = {step: (number, place) for number, steps in enumerate(rounds) for place, step in enumerate(steps)}
    operands: list[list[Operand]] = []
    for steps in zip(*rounds, strict=True):
        if isinstance(steps[0].key, Index) and len({repr(step.key.index) for step in steps}) > 1:
            return None
        kept = []
        for column in zip(*map(operands_of, steps), strict=True):
            found = _operand(column, places)
            if found is None:
                return None
            kept.append(found)
        operands.append(kept)
    loop = Loop(rounds, operands)
    if not any(isinstance(item, Carried | Entries) for items in operands for item in items):
        return None
    for step, (number, place) in places.items():
        for reader, value in later.get(step, ()):
            if reader not in places:
                loop.used.setdefault((place, value.path), set()).add(number)
                alike = reader and [item for item in operands_of(reader) if _is_at(item, place, value.path, places)]
                if not alike or len(alike) < 2:
                    loop.singly.setdefault((place, value.path), set()).add(number)
    return loop


def _is_at(item: Any, place: int, path: tuple[int | str, ...], places: Mapping[Step, tuple[int, int]]) -> bool:
    """Whether an operand is what a place of some round gives."""
    return isinstance(item, Value) and item.path == path and places.get(item.step, (0, -1))[1] == place


def _operand(column: Sequence[Any], places: Mapping[Step, tuple[int, int]]) -> Operand | None:
    """What stands at one place of equal steps, round by round."""
    if not any(isinstance(item, Value) for item in column):
        same = all(_equal_literals(item, column[0]) for item in column)
        return Shared(column[0]) if same else None
    if all(isinstance(item, Value) for item in column):
        at = [places.get(item.step) for item in column]
        path = column[0].path
        if all(place is None for place in at):
            same = all(item.step is column[0].step and item.path == path for item in column)
            return Shared(column[0]) if same else _entries(column, places)
        first = at[0]
        if first is not None and all(
            place == (number, first[1]) and item.path == path
            for number, (place, item) in enumerate(zip(at, column, strict=True))
        ):
            return Inner((first[1], path))
    return _carried(column, places)


def _carried(column: Sequence[Any], places: Mapping[Step, tuple[int, int]]) -> Carried | None:
    first, rest = column[0], column[1:]
    if not all(isinstance(item, Value) and item.step in places for item in rest):
        return None
    if isinstance(first, Value) and first.step in places:
        return None
    if not isinstance(first, Value) and first is not None:
        return None
    at = [places[item.step] for item in rest]
    place, path = at[0][1], rest[0].path
    if any(found != (number, place) for number, found in enumerate(at)) or any(item.path != path for item in rest):
        return None
    return Carried((place, path), first)


def _equal_literals(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and repr(a) == repr(b))


def _entries(column: Sequence[Value], places: Mapping[Step, Any]) -> Entries | None:
    """Entries of one axis in even steps, of others the same."""
    if not all(isinstance(item.step.key, Index) and not item.path for item in column):
        return None
    source: Any = column[0].step.operands[0]
    others: list[Any] = [item.step.operands[0] for item in column]
    if source.step in places or any(item.step is not source.step or item.path != source.path for item in others):
        return None
    indices: list[tuple[Any, ...]] = [item.step.key.index for item in column]
    if len({len(index) for index in indices}) > 1:
        return None
    varying = [axis for axis in range(len(indices[0])) if len({repr(index[axis]) for index in indices}) > 1]
    if len(varying) != 1:
        return None
    axis = varying[0]
    around = (*indices[0][:axis], slice(None), *indices[0][axis + 1 :])
    plain = all(type(entry) in (slice, int) for entry in around)
    entries = [index[axis] for index in indices]
    keeps = all(type(entry) is slice for entry in entries)
    if keeps:
        if any(entry.step is not None or _stop(entry) - (entry.start or 0) != 1 for entry in entries):
            return None
        entries = [entry.start or 0 for entry in entries]
    if not plain or not all(type(entry) is int for entry in entries) or min(entries) < 0 <= max(entries):
        return None
    steps = [after - before for before, after in pairwise(entries)]
    if len(set(steps)) == 1:
        return Entries(source, axis, entries[0], steps[0], keeps, around)
    if len(set(steps[1:])) == 1 and len(steps) >= FEWEST:
        return Entries(source, axis, entries[1], steps[1], keeps, around, ahead=entries[0])
    return None


def _stop(entry: slice) -> Any:
    """Where a slice ends; one behind its start where it ends with the axis, of which it may be the last entry."""
    return (entry.start or 0) + 1 if entry.stop is None else entry.stop


def sized(dim: Dim, value_of: Callable[[Dim], int] | None) -> int | None:
    """A size as a number, if it is known."""
    if isinstance(dim, int):
        return dim
    return None if value_of is None else value_of(dim)
