"""``rolled_up``: replaces unrolled loops of a script by drivers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from ...declare.cell import Cell
from ...declare.functions.randomness import dropout
from ...declare.running.drivers import static_rnn
from ...ir.types import Dim
from ...support.errors import Where, read_from
from ..script import Script
from ..steps import Index, Step, Value
from .equal_runs import MIN_ITERATIONS, takes_entries
from .lifting import Rolling
from .loop import code_of, operands_of, replaced
from .loop_search import (
    Readers,
    fixed_steps,
    indexed_states,
    loops_in,
    outside_of_loops,
    without_entries,
)
from .parts import part_of
from .step_numbers import may_have_numbers

MAX_REPEATED = 60_000
"""Maximum steps that are declared in total to try loops, because a file may have many loops that can't be rolled up."""
MAX_SINGLE = 3
"""Maximum unrolled steps of one cell for which ``steps_left`` does not report the cell."""


def rolled_up(script: Script, value_of: Callable[[Dim], int] | None = None) -> Script:
    """Return a script in which calls such as ``dynamic_rnn`` replace unrolled loops.

    Without loops, the result is the same object, or a copy without repeated expressions of parameters and sizes.

    Args:
        script: The script.
        value_of: Function that returns the value of a symbolic size in the traced example. It is used to recognise
            positions near the end of an axis, which are then counted from the end.
    """
    if not all(step.make for step in script.steps):  # Steps that define a class (``own_cell``) cannot be repeated.
        return script
    original = script = _without_repeats(script)
    script, count = _with_plain_entries(script), 0
    split = script
    varies = False  # Loops whose numbers differ between iterations are searched last.
    while count <= MAX_REPEATED:
        steps = script.steps
        states = indexed_states(steps)
        outside = outside_of_loops(steps, states, varies)
        inside = [step for step in steps if step not in outside]
        rolled: Script | None = None
        for loop in loops_in(without_entries(inside, states), _readers_of(script, steps), varies):
            count += len(steps)
            rolled = Rolling(script, loop, value_of).script(outside, inside)
            if rolled is not None or count > MAX_REPEATED:
                break
        if rolled is None and (varies or not takes_entries(script) or not may_have_numbers(steps)):
            break
        varies = rolled is None
        script = rolled or script
    return original if script is split else script


def _readers_of(script: Script, steps: Sequence[Step]) -> Readers:
    """Return {step: (reader, value) pairs of the steps and outputs that read its result}."""
    readers: dict[Step, list[tuple[Step | None, Value]]] = {}
    for step in steps:
        for item in operands_of(step):
            if isinstance(item, Value):
                readers.setdefault(item.step, []).append((step, item))
    for value in script.outputs.values():
        readers.setdefault(value.step, []).append((None, value))
    return readers


def steps_left(script: Script) -> list[tuple[Cell, int, Where | None]]:
    """Return (cell, number of unrolled steps, line) for cells with more than ``MAX_SINGLE`` unrolled steps."""
    steps = [step for step in script.steps if step.key is static_rnn]
    counts = Counter(step.operands[0].step for step in steps)
    lines = {step.operands[0].step: step.where for step in reversed(steps)}
    return [(step.result, count, lines[step]) for step, count in counts.items() if count > MAX_SINGLE]


def _without_repeats(script: Script) -> Script:
    """Return a script in which equal expressions of parameters and sizes are computed once (common subexpressions)."""
    first: dict[Hashable, Step] = {}
    repeats: dict[Step, Step] = {}
    fixed = fixed_steps(script.steps)
    for step in script.steps:
        values = [item for item in operands_of(step) if isinstance(item, Value)]
        items = [(repeats.get(item.step, item.step), item.path) for item in values]
        if items and step.key is not dropout and all(item in fixed for item, _ in items):
            exact = step.key if isinstance(step.key, Index) else None  # ``code_of`` ignores the positions of entries.
            same = first.setdefault((code_of(step), exact, *((id(item), path) for item, path in items)), step)
            if same is not step:
                repeats[step] = same
    return rebuilt(script, repeats, keeps_stand_ins=True) if repeats else script


def _with_plain_entries(script: Script) -> Script:
    """Return a script in which ``x[:, t, :, None]`` becomes two steps: ``x[:, t]``, then the rest of the index.

    For example, ``x[:, 3, :, None]`` becomes ``x[:, 3][:, :, None]``, and ``x[3, :, 1]`` becomes ``x[3][:, 1]``.
    """
    varying = _varying_axes(script.steps)
    if not any(step in varying or _adds_axes(step) for step in script.steps):
        return script

    def indexed(new: Script, step: Step, operands: Sequence[Value]) -> Value | None:
        if step not in varying and not _adds_axes(step):
            return None
        index = step.key.index
        with read_from(step.where):
            if step in varying:
                axis = varying[step]
                entry = new.item(operands[0], *(slice(None),) * axis, index[axis])
                return new.item(entry, *index[:axis], *index[axis + 1 :])
            entry = new.item(operands[0], *(item for item in index if item is not None))
            return new.item(entry, *(None if item is None else slice(None) for item in index if type(item) is not int))

    return rebuilt(script, {}, indexed, keeps_stand_ins=True)


def _varying_axes(steps: Sequence[Step]) -> dict[Step, int]:
    """Return {step: axis whose index varies most} for equal steps that index single entries of several axes at once."""
    families: dict[Hashable, list[Step]] = {}
    for step in steps:
        kinds = [*map(type, step.key.index)] if isinstance(step.key, Index) else []
        if kinds.count(int) > 1 and {*kinds} <= {int, slice}:
            source = step.operands[0]
            pattern = tuple(int if type(entry) is int else repr(entry) for entry in step.key.index)
            families.setdefault((id(source.step), source.path, pattern), []).append(step)
    varying: dict[Step, int] = {}
    for family in families.values():
        indices = (map(repr, step.key.index) for step in family)
        columns = [set(column) for column in zip(*indices, strict=True)]
        axis = max(range(len(columns)), key=lambda place: len(columns[place]))
        if len(columns[axis]) >= MIN_ITERATIONS:
            varying |= dict.fromkeys(family, axis)
    return varying


def _adds_axes(step: Step) -> bool:
    """True for an index that both selects single entries and adds axes, such as ``x[:, 3, :, None]``."""
    kinds = {*map(type, step.key.index)} if isinstance(step.key, Index) else set()
    return {type(None), int} <= kinds <= {type(None), int, slice}


def rebuilt(
    script: Script,
    repeats: Mapping[Step, Step] | None = None,
    replacement: Callable[[Script, Step, Sequence[Any]], Value | None] = lambda new, step, operands: None,
    keeps_stand_ins: bool = False,
) -> Script:
    """Return a copy of a script with all steps declared again, and some of them replaced.

    Args:
        script: The script.
        repeats: {step that is omitted: earlier step whose result replaces its own}.
        replacement: Function of (new script, step, operands) that declares a replacement for the step and returns it;
            None to declare the step itself.
        keeps_stand_ins: True to keep the stand-ins of stacked steps, whose loop is not rolled up yet.
    """
    values_of: dict[Step, Value] = {}
    repeats = repeats or {}
    new = script.without_steps()
    for step in script.steps:
        if step in repeats:
            values_of[step] = values_of[repeats[step]]
            continue
        values = [
            part_of(values_of[item.step], item.path) if isinstance(item, Value) else item for item in operands_of(step)
        ]
        operands, keywords = replaced(step, values)
        value = replacement(new, step, operands) or new.repeat(step, operands, keywords)
        if keeps_stand_ins and step.is_stand_in:
            value.step.is_stand_in, value.step.result = True, step.result
            value = Value(step.result, value.step)
        values_of[step] = value
    for ours, theirs in ((new.inputs, script.inputs), (new.outputs, script.outputs)):
        ours |= {name: part_of(values_of[value.step], value.path) for name, value in theirs.items()}
    return new
