"""What a loop of equal steps is made of, and what a step of a script does, as something to compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...declare.cell import Cell
from ...declare.parameters import parameter
from ...declare.running.drivers import dynamic_rnn, static_rnn
from ..steps import Index, Step, Value, leaves_in

DRIVERS = (static_rnn, dynamic_rnn)
Place = tuple[int, tuple[int | str, ...]]
"""A step of a round by its number in it, and the path to a part of what it gives."""


@dataclass(frozen=True)
class Inner:
    """What a step of the same round gives."""

    place: Place


@dataclass(frozen=True)
class Carried:
    """What a step of the round before gives; in the first round ``initial``, None for zeros."""

    place: Place
    initial: Value | None


@dataclass(frozen=True, eq=False)
class Shared:
    """The same in all rounds: a value from outside, or a literal."""

    value: Any


@dataclass(frozen=True, eq=False)
class Entries:
    """Entries of an axis, one a round. start, step: of the places. keeps: whether the axis stays, with size 1. others:
    what is taken of other axes, an index that has all of this one. ahead: the place of the first round's entry, where
    that is another one, as of a decoder that is fed the entry before; start is that of the second round then.
    """

    source: Value
    axis: int
    start: int
    step: int
    keeps: bool
    others: tuple[Any, ...]
    ahead: int | None = None


Operand = Inner | Carried | Shared | Entries


@dataclass(eq=False)
class Loop:
    """Rounds of equal steps.

    rounds: the steps, by round. operands: of each step of a round what its operands are, in the order of
    ``operands_of``. used: what later steps read, by place: the rounds of which it is read.
    """

    rounds: list[list[Step]]
    operands: list[list[Operand]]
    used: dict[Place, set[int]] = field(default_factory=dict)
    singly: dict[Place, set[int]] = field(default_factory=dict)
    """As ``used``, but for readers that take several rounds' at once."""

    @property
    def count(self) -> int:
        return len(self.rounds)

    @property
    def first(self) -> list[Step]:
        return self.rounds[0]


# What steps do ---------------------------------------------------------------------------------------


def operands_of(step: Step) -> list[Any]:
    """What a step reads, in an order that is the same for equal steps. The state of a driver that has none is None."""
    found = [*leaves_in(step.operands)]
    for name, item in sorted(step.keywords.items()):
        if name == "scope" or (name == "initial_state" and step.key in DRIVERS):
            continue
        found += leaves_in(item)
    if step.key in DRIVERS:
        state = step.keywords.get("initial_state")
        count = len(_leaves_of_state(step))
        found += [None] * count if state is None else [*leaves_in(state)]
    return found


def _leaves_of_state(step: Step) -> list[Any]:
    def leaves(state: Any) -> list[Any]:
        return [leaf for part in state for leaf in leaves(part)] if isinstance(state, tuple) else [state]

    return leaves(step.thing[1])


def _in_place_of(state: Any, leaves: Iterator[Any]) -> Any:
    """Leaves in a nest as a state of a stack is one."""
    return tuple(_in_place_of(part, leaves) for part in state) if isinstance(state, tuple) else next(leaves)


def replaced(step: Step, values: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """A step's operands and keywords with others in place of ``operands_of(step)``."""
    rest = iter(values)

    def put(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: put(part) for key, part in item.items()}
        if type(item) in (list, tuple):
            return type(item)(map(put, item))
        return next(rest)

    operands = [put(item) for item in step.operands]
    keywords = dict(step.keywords)
    is_driver = step.key in DRIVERS
    for name in sorted(keywords):
        if name != "scope" and not (name == "initial_state" and is_driver):
            keywords[name] = put(keywords[name])
    if is_driver:
        leaves = list(rest)
        keywords.pop("initial_state", None)
        if any(leaf is not None for leaf in leaves):
            keywords["initial_state"] = _in_place_of(step.thing[1], iter(leaves))
    return operands, keywords


def code_of(step: Step) -> Any:
    """What a step does, of what kinds of things, as something that can be compared."""

    def part(item: Any) -> Any:
        if isinstance(item, Value):
            return id(item.step) if isinstance(item.thing, Cell) or item.step.key is parameter else Value
        return item if callable(item) else (type(item), repr(item))

    key: Any = step.key
    if isinstance(key, Index):
        key = ("item", *(int if type(entry) is int else repr(entry) for entry in key.index))
    operands = operands_of(step)
    if step.key in DRIVERS:
        operands = operands[: -len(_leaves_of_state(step))]
    names = tuple(sorted(name for name in step.keywords if name not in ("scope", "initial_state")))
    return key, names, tuple(map(part, operands))
