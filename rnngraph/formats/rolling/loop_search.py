"""Finds unrolled loops in a script.

Steps are equal if they apply the same function, to any operands. ``loops_in`` finds the longest run of iterations with
equal steps. An operand must be computed in the same iteration, in one of the previous ``MAX_LATE``, or outside the
loop. It may also be an entry of an axis, at a position that advances with the iterations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import count, pairwise
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np

from ...declare.cell import Cell
from ...declare.functions.sequences import positions
from ...declare.parameters import parameter
from ...declare.placeholders import placeholder
from ...declare.tensor import Tensor
from ..steps import Index, Step, Value
from .equal_runs import (
    MIN_ITERATIONS,
    Family,
    equal_literals,
    family_of,
    is_index,
    longest_equal_run,
    may_repeat_after,
    takes_one_entry,
)
from .loop import (
    DRIVERS,
    MAX_LATE,
    Carried,
    Entries,
    Inner,
    Loop,
    Numbers,
    Operand,
    Shared,
    code_of,
    operands_of,
)
from .step_numbers import FormulaOf, counting_entries, formula_of_column

MIN_LATER = 2
"""Minimum iterations that read a value from several iterations before, so that the distance is confirmed once."""
MAX_STEPS = 20_000
"""Maximum steps of a script that is searched for loops, because the time of the search is quadratic."""
MAX_CANDIDATES = 200
"""Maximum runs of equal steps that are examined, the longest first."""
MAX_OFFSETS = 3
"""Maximum start offsets at which a run is tried as a loop. Several are tried, as carried values may not fit at one."""
MAX_EXAMINED = 2_000_000
"""Maximum steps that are examined in total, over all runs and offsets. It bounds the time for hostile files."""


Readers: TypeAlias = Mapping[Step, list[tuple[Step | None, Value]]]
"""(reader, value that it reads) pairs, by the step that computes the value. For an output, the reader is None."""
Candidate: TypeAlias = tuple[int, int, int, int]
"""Run of equal steps: (minus the steps in complete iterations, steps of an iteration, first step, number of steps).

The minus sorts the longest run first.
"""


def fixed_steps(steps: Sequence[Step]) -> dict[Step, Any]:
    """Return {step: ``parameter`` or ``positions``} for steps that depend only on parameters, or only on sizes.

    Initial states of loops are left out: constants, and parameters that are repeated for each row. The steps that read
    them belong to the first iteration of a loop.
    """
    fixed: dict[Step, Any] = {}
    for step in steps:
        kinds = {fixed.get(item.step) for item in operands_of(step) if isinstance(item, Value)}
        if step.key in (parameter, positions):
            fixed[step] = step.key
        elif len(kinds) == 1 and None not in kinds and step.fill is None:
            fixed[step] = kinds.pop()
    return fixed


def _is_repeated(step: Step, fixed: Mapping[Step, Any]) -> bool:
    """True for a sum of a parameter and zeros, which repeats it for each row, as for a learned initial state."""
    values = [item for item in operands_of(step) if isinstance(item, Value)]
    kinds = {fixed.get(item.step) or item.step.fill for item in values}
    return step.key == "+" and len(values) == 2 and parameter in kinds and kinds <= {parameter, positions, 0.0}


def indexed_states(steps: Sequence[Step]) -> set[Family]:
    """Return keys of index steps that read constants at the positions that a loop visits, as an initial state.

    At least two other keys of ``family_of`` have these positions. A constant has one number, or a parameter, per row.
    """
    fixed = fixed_steps(steps)
    indices: dict[Family, set[str]] = {}
    constant: set[Family] = set()
    for step in filter(is_index, steps):
        family, source = family_of(step), step.operands[0].step
        indices.setdefault(family, set()).add(repr(step.key.index))
        if source.fill is not None or (source not in fixed and _is_repeated(source, fixed)):
            constant.add(family)
    later = Counter(frozenset(places) for family, places in indices.items() if family not in constant)
    return {family for family in constant if later[frozenset(indices[family])] > 1}


def outside_of_loops(steps: Sequence[Step], states: Collection[Family] = (), varies: bool = False) -> set[Step]:
    """Return the steps that belong to no loop and can precede all loops, such as inputs, cells and constants.

    Such steps are declarations of placeholders and cells, steps of parameters and sizes alone, constants, and steps
    that occur once.

    Args:
        steps: All steps.
        states: Families of initial states.
        varies: True if numbers in arithmetic may differ between the iterations of a loop.
    """
    codes = {step: code_of(step, varies) for step in steps}
    counts = Counter(codes.values())
    families = Counter(family_of(step) for step in steps if is_index(step))
    fixed, outside = fixed_steps(steps), set[Step]()
    for step in steps:
        values = [item for item in operands_of(step) if isinstance(item, Value)]
        if not all(item.step in outside for item in values):
            continue
        declared = step.key is placeholder or isinstance(step.result, Cell)
        is_constant = step in fixed or step.fill is not None or _is_repeated(step, fixed)
        is_in_loop = is_index(step) and (family_of(step) in states or _is_of_entry(step, families))
        is_unique = counts[codes[step]] == 1 or (is_index(step) and not is_in_loop)
        if declared or is_constant or is_unique:
            outside.add(step)
    return outside


def _is_of_entry(step: Step, families: Mapping[Family, int]) -> bool:
    """True for an index that belongs to one iteration of a loop.

    Such an index selects one of several entries of an axis, as in ``x[:, t][:, None]``, or an initial state.
    """
    entry = step.operands[0].step
    is_entry = is_index(entry) and families[family_of(entry)] > 1
    return (is_entry or entry.fill is not None) and families[family_of(step)] == 1


def without_entries(steps: Sequence[Step], states: Collection[Family] = ()) -> list[Step]:
    """Return the steps without those that only read one iteration's entry of a sequence, as ``x[:, t]`` does.

    A step does so if several steps index the same axis of one value. If each iteration computes a value and indexes it
    once, these steps are kept.

    Args:
        steps: Steps that may belong to loops.
        states: Families of initial states.
    """
    codes = {step: code_of(step) for step in steps}
    families = Counter(family_of(step) for step in steps if is_index(step))

    def kind_of(step: Step) -> Hashable:
        source = step.operands[0].step
        return codes.get(source, source), family_of(step)[1:]

    kinds = Counter(kind_of(step) for step in {family_of(step): step for step in steps if is_index(step)}.values())

    def is_entry(step: Step) -> bool:
        if not is_index(step) or families[family_of(step)] < 2 or family_of(step) in states:
            return False
        return families[family_of(step)] > kinds[kind_of(step)]

    return [step for step in steps if not is_entry(step)]


def loops_in(steps: Sequence[Step], later: Readers, varies: bool = False) -> Iterator[Loop]:
    """Yield the unrolled loops in a list of steps, in order. Among overlapping loops, those with more steps come first.

    Args:
        steps: Steps that may belong to loops.
        later: Readers of each step's results.
        varies: True if numbers in arithmetic may differ between the iterations of a loop.
    """
    if not 2 <= len(steps) <= MAX_STEPS:
        return
    numbers: dict[Any, int] = {}
    codes = np.array([numbers.setdefault(code_of(step, varies), len(numbers)) for step in steps])
    candidates: list[Candidate] = []
    for period in range(1, len(codes) // 2 + 1):
        for start, length in _runs(codes[:-period] == codes[period:]):
            if length >= period:
                covered = (length + period) // period * period
                candidates.append((-covered, period, start, length + period))
    candidates.sort()
    budget = [MAX_EXAMINED]
    for overlapping in _overlapping(candidates[:MAX_CANDIDATES]):
        yield from _largest_first(steps, overlapping, later, budget)


def _overlapping(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Group runs of equal steps with the largest run that they overlap. Return the groups in the order of the script.

    This order keeps drivers' names independent of the number of iterations in the traced example.
    """
    groups: list[list[Candidate]] = []
    for candidate in candidates:
        _, _, start, length = candidate
        for group in groups:
            _, _, first, extent = group[0]
            if start < first + extent and first < start + length:
                group.append(candidate)
                break
        else:
            groups.append([candidate])
    return sorted(groups, key=lambda group: group[0][2])


def _largest_first(
    steps: Sequence[Step], candidates: Sequence[Candidate], later: Readers, budget: list[int]
) -> Iterator[Loop]:
    """Yield the loops that runs of equal steps contain, those with the most steps first.

    Args:
        steps: All steps.
        candidates: Candidates, those with the most steps in complete iterations first.
        later: Readers of each step's results.
        budget: List of one number, the steps that may still be examined, which the function lowers.
    """
    waiting: list[tuple[int, int, Loop]] = []
    number = count()
    accepted: list[tuple[Candidate, int]] = []
    for candidate in candidates:
        covered, period, start, length = candidate
        while waiting and waiting[0][0] <= covered:
            yield heappop(waiting)[-1]
        if any(_is_multiple(candidate, shorter, steps_in_loop) for shorter, steps_in_loop in accepted):
            continue
        loops = _best_of(steps, start, period, length, later, budget)
        for loop in loops:
            heappush(waiting, (-loop.count * period, next(number), loop))
        if loops:
            accepted.append((candidate, loops[0].count * period))
    while waiting:
        yield heappop(waiting)[-1]


def _is_multiple(candidate: Candidate, shorter: Candidate, steps_in_loop: int) -> bool:
    """True if each iteration of a run of equal steps contains several of a shorter run, whose loop is as long.

    Without this test, the time of the search is cubic in the iterations of a loop that cannot be rolled up.

    Args:
        candidate: The candidate.
        shorter: An earlier candidate that contains a loop.
        steps_in_loop: Number of steps of that loop.
    """
    covered, period, start, length = candidate
    _, part, first, extent = shorter
    is_within = first <= start and start + length <= first + extent
    return is_within and period % part == 0 and steps_in_loop >= -covered - period


def _runs(equal: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield (start, length) of runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        yield int(start), int(stop - start)


def _best_of(
    steps: Sequence[Step], start: int, period: int, length: int, later: Readers, budget: list[int]
) -> list[Loop]:
    """Return at most ``MAX_OFFSETS`` loops in a run of equal steps; each begins at another step of the run.

    Loops with the most iterations come first; among these, loops with the fewest carried values.

    Args:
        steps: All steps.
        start: Index of the first step of the run.
        period: Number of steps of an iteration.
        length: Number of steps of the run.
        later: Readers of each step's results.
        budget: List of one number, the steps that may still be examined, which the function lowers.
    """
    best: tuple[int, int, int] | None = None
    may_repeat = may_repeat_after(steps[start : start + length], period)
    has_cell = any(step.key in DRIVERS for step in steps[start : start + length])
    scored: list[tuple[tuple[int, int, int], Loop]] = []
    for offset in range(min(period, length - period + 1)):
        turns = (length - offset) // period
        budget[0] -= turns * period
        if budget[0] < 0 or (best is not None and -turns > best[0]):
            break
        first = start + offset
        iterations = [list(steps[first + number * period : first + (number + 1) * period]) for number in range(turns)]
        whole: list[bool] = np.all(may_repeat[offset : offset + turns * period].reshape(turns, period), 1).tolist()
        if not has_cell and not any(whole):
            continue
        alike = iterations[: [*whole, False].index(False, min(2, turns))]
        equal = iterations if len(alike) == turns else longest_equal_run(iterations, whole)
        loop = _loop_of(alike, later) if len(alike) >= len(equal) else None
        loop = loop or _loop_of(longest_equal_run(iterations, whole), later)
        if loop is None:
            continue
        carried = sum(isinstance(item, Carried) for items in loop.operands for item in items)
        score = (-loop.count, carried, offset)
        scored.append((score, loop))
        best = score if best is None else min(best, score)
    scored.sort(key=itemgetter(0))
    return [loop for _, loop in scored[:MAX_OFFSETS]]


def _loop_of(iterations: list[list[Step]], later: Readers) -> Loop | None:
    """Return the ``Loop`` of iterations; None if they are too few, or their operands do not follow a known pattern."""
    has_cell = any(step.key in DRIVERS for step in iterations[0])
    if len(iterations) < (2 if has_cell else MIN_ITERATIONS):
        return None
    places = {step: (number, place) for number, steps in enumerate(iterations) for place, step in enumerate(steps)}
    operands: list[list[Operand]] = []
    numbers = list[tuple[list[Operand], int, FormulaOf]]()
    for steps in zip(*iterations, strict=True):
        if isinstance(steps[0].key, Index) and len({repr(step.key.index) for step in steps}) > 1:
            return None
        own: list[Operand] = []
        for column in zip(*map(operands_of, steps), strict=True):
            operand = _operand(column, places)
            if operand is None:
                formula = formula_of_column(column, steps[0])
                if formula is None:
                    return None
                numbers.append((own, len(own), formula))
            own.append(operand or Shared(None))
        operands.append(own)
    beside = counting_entries(operands) if numbers else None
    for own, place, formula in numbers:
        if beside is None:
            return None
        own[place] = Numbers(*formula, beside)
    loop = Loop(iterations, operands)
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


def _is_at(item: object, place: int, path: tuple[int | str, ...], places: Mapping[Step, tuple[int, int]]) -> bool:
    """True if an operand is the result, at ``path``, of step ``place`` of an iteration."""
    return isinstance(item, Value) and item.path == path and places.get(item.step, (0, -1))[1] == place


def _operand(column: Sequence[Any], places: Mapping[Step, tuple[int, int]]) -> Operand | None:
    """Classify an operand by its values in all iterations: computed inside, carried, shared or entries; else None.

    Args:
        column: The operand in each iteration.
        places: (index of the iteration, index in the iteration), by step of the loop.
    """
    if not any(isinstance(item, Value) for item in column):
        same = all(equal_literals(item, column[0]) for item in column)
        return Shared(column[0]) if same else None
    if all(isinstance(item, Value) for item in column):
        at = [places.get(item.step) for item in column]
        path = column[0].path
        if all(place is None for place in at):
            same = all(item.step is column[0].step and item.path == path for item in column)
            return Shared(column[0]) if same else _entries(column, places) or _late_entries(column, places)
        first = at[0]
        if first is not None and all(
            place == (number, first[1]) and item.path == path
            for number, (place, item) in enumerate(zip(at, column, strict=True))
        ):
            return Inner((first[1], path))
    return _carried_operand(column, places)


def _carried_operand(column: Sequence[Any], places: Mapping[Step, tuple[int, int]]) -> Carried | None:
    """Return an operand as ``Carried``; None unless iterations read it from earlier ones at a constant distance.

    In the first iterations, the operand must be None, or a value from outside the loop.
    """
    inside = [isinstance(item, Value) and item.step in places for item in column]
    lag = inside.index(True) if True in inside else 0
    first, rest = column[:lag], column[lag:]
    if not 0 < lag <= MAX_LATE or not all(inside[lag:]) or (lag > 1 and len(rest) < MIN_LATER):
        return None
    if not all(isinstance(item, Value) or item is None for item in first):
        return None
    at = [places[item.step] for item in rest]
    place, path = at[0][1], rest[0].path
    if any(position != (number, place) for number, position in enumerate(at)) or any(
        item.path != path for item in rest
    ):
        return None
    return Carried((place, path), first[0], tuple(first[1:]))


def _entries(column: Sequence[Value], places: Mapping[Step, Any]) -> Entries | None:
    """Return an operand as ``Entries`` of an axis at equally spaced positions; None if it has another form."""
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
        if not all(takes_one_entry(item.step, axis) for item in column):
            return None
        entries = [entry.start or 0 for entry in entries]
    if not plain or not all(type(entry) is int for entry in entries) or min(entries) < 0 <= max(entries):
        return None
    steps = [after - before for before, after in pairwise(entries)]
    if len(set(steps)) == 1:
        return Entries(source, axis, entries[0], steps[0], keeps, around)
    if len(set(steps[1:])) == 1 and len(steps) >= MIN_ITERATIONS:
        return Entries(source, axis, entries[1], steps[1], keeps, around, ahead=entries[0])
    return None


def _late_entries(column: Sequence[Value], places: Mapping[Step, Any]) -> Entries | None:
    """Return an operand as ``Entries`` whose first iterations read initial values instead; None for another form.

    A loop that keeps the last entries of a sequence reads initial values in their place first, in at most ``MAX_LATE``
    iterations.
    """
    late = next((count for count, item in enumerate(column) if isinstance(item.step.key, Index)), 0)
    if not 0 < late <= MAX_LATE or len(column) - late < MIN_ITERATIONS:
        return None
    entries = _entries(column[late:], places)
    if entries is None or entries.ahead is not None:
        return None
    kinds = {item.result.type if isinstance(item.result, Tensor) else None for item in column[: late + 1]}
    return replace(entries, before=tuple(column[:late])) if len(kinds) == 1 and None not in kinds else None
