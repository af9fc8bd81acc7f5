"""The door: scripts whose equal steps are rolled up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...declare.cell import Cell
from ...declare.functions.randomness import dropout
from ...declare.functions.sequences import positions
from ...declare.parameters import parameter
from ...declare.running.drivers import static_rnn
from ...ir.types import Dim
from ..script import Script
from ..steps import Index, Step, Value
from .lifting import Rolling
from .loop import code_of, operands_of, replaced
from .loops import loops_in, outside_of_loops, without_entries
from .parts import part_of

MOST_MADE = 60_000
"""Steps that are made anew, in all tries: files may have many that are alike and are no loop."""
MOST_LEFT = 3
"""Steps of one cell that may stand by themselves."""


def rolled_up(script: Script, value_of: Callable[[Dim], int] | None = None) -> Script:
    """The script with drivers in place of equal steps that are written out; the same object where there are none.

    value_of: open sizes as numbers of the example by which the steps were written out, if there are open ones. Places
    that are counted from an end of an axis of that size stay so, and all of it is the whole axis.
    """
    if not all(step.make for step in script.steps):  # a reader's own cell, which is made where it is
        return script
    script, count = _without_repeats(script), 0
    while count <= MOST_MADE:
        steps = script.steps
        outside = outside_of_loops(steps)
        inside = [step for step in steps if step not in outside]
        made: Script | None = None
        for loop in loops_in(without_entries(inside), _readers_of(script, steps)):
            count += len(steps)
            made = Rolling(script, loop, value_of).script(outside, inside)
            if made is not None or count > MOST_MADE:
                break
        if made is None:
            return script
        script = made
    return script


def _readers_of(script: Script, steps: Sequence[Step]) -> dict[Step, list[tuple[Step | None, Value]]]:
    """Who reads what each step gives."""
    found: dict[Step, list[tuple[Step | None, Value]]] = {}
    for step in steps:
        for item in operands_of(step):
            if isinstance(item, Value):
                found.setdefault(item.step, []).append((step, item))
    for value in script.outputs.values():
        found.setdefault(value.step, []).append((None, value))
    return found


def steps_left(script: Script) -> list[tuple[Cell, int]]:
    """Recurrent cells of which more steps are still written out than may stand before and behind a loop."""
    counts = Counter(step.operands[0].step for step in script.steps if step.key is static_rnn)
    return [(step.thing, count) for step, count in counts.items() if count > MOST_LEFT]


def _without_repeats(script: Script) -> Script:
    """The script with what is made of parameters and sizes alone, such as a transposed kernel, made once."""
    first: dict[Any, Step] = {}
    repeats: dict[Step, Step] = {}
    of_parameters: set[Step] = set()
    for step in script.steps:
        values = [item for item in operands_of(step) if isinstance(item, Value)]
        items = [(repeats.get(item.step, item.step), item.path) for item in values]
        known = [item.key in (parameter, positions) or item in of_parameters for item, _ in items]
        if items and step.key is not dropout and all(known):
            of_parameters.add(step)
            exact = step.key if isinstance(step.key, Index) else None  # codes leave out which entry it is
            same = first.setdefault((code_of(step), exact, *((id(item), path) for item, path in items)), step)
            if same is not step:
                repeats[step] = same
    return made_anew(script, repeats) if repeats else script


def made_anew(script: Script, repeats: Mapping[Step, Step] | None = None) -> Script:
    """The script with all its steps made again. repeats: steps in whose place an earlier one stands."""
    made: dict[Step, Value] = {}
    repeats = repeats or {}
    new = script.emptied()
    for step in script.steps:
        if step in repeats:
            made[step] = made[repeats[step]]
            continue
        values = [
            part_of(made[item.step], item.path) if isinstance(item, Value) else item for item in operands_of(step)
        ]
        operands, keywords = replaced(step, values)
        made[step] = new.remade(step, operands, keywords)
    for ours, theirs in ((new.inputs, script.inputs), (new.outputs, script.outputs)):
        ours |= {name: part_of(made[value.step], value.path) for name, value in theirs.items()}
    return new
