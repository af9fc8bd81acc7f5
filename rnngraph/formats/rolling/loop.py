"""``Loop``: rounds of equal steps with their operands, and a key by which steps are compared."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...declare.cell import Cell
from ...declare.parameters import parameter
from ...declare.running.drivers import dynamic_rnn, static_rnn
from ..steps import Index, Step, Value, leaves_in

DRIVERS = (static_rnn, dynamic_rnn)
Place = tuple[int, tuple[int | str, ...]]
"""The number of a step in its round, and the path to a part of its result."""


@dataclass(frozen=True)
class Inner:
    """Operand that a step of the same round computes."""

    place: Place


@dataclass(frozen=True)
class Carried:
    """Operand that a step of the previous round computes; ``initial`` in the first round, None for zeros."""

    place: Place
    initial: Value | None


@dataclass(frozen=True, eq=False)
class Shared:
    """Operand that is the same in all rounds: a value from outside the loop, or a literal."""

    value: Any


@dataclass(frozen=True, eq=False)
class Entries:
    """Operand that is an entry of an axis: a different one in each round.

    Attributes:
        source: The value with the axis.
        axis: The axis.
        start: Position in the first round; in the second if ``ahead`` is given.
        step: Distance of positions.
        keeps: Whether the axis is kept, with size 1.
        others: The index along all axes, with ``slice(None)`` along this one.
        ahead: Position in the first round if it is irregular, as in a decoder that is fed the previous entry.
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

    Attributes:
        rounds: Steps by round.
        operands: Operands of each step of a round, in the order of ``operands_of``.
        used: Rounds of which later steps read a result, by place.
        singly: As ``used``, without readers that take the results of several rounds at once.
    """

    rounds: list[list[Step]]
    operands: list[list[Operand]]
    used: dict[Place, set[int]] = field(default_factory=dict)
    singly: dict[Place, set[int]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.rounds)

    @property
    def first(self) -> list[Step]:
        return self.rounds[0]


# Steps -----------------------------------------------------------------------------------------------


def operands_of(step: Step) -> list[Any]:
    """Return a step's operands, in the same order for equal steps. A driver without a state has None for each leaf."""
    operands = [*leaves_in(step.operands)]
    for name, item in sorted(step.keywords.items()):
        if name == "scope" or (name == "initial_state" and step.key in DRIVERS):
            continue
        operands += leaves_in(item)
    if step.key in DRIVERS:
        state = step.keywords.get("initial_state")
        count = len(_leaves_of_state(step))
        operands += [None] * count if state is None else [*leaves_in(state)]
    return operands


def _leaves_of_state(step: Step) -> list[Any]:
    def leaves(state: Any) -> list[Any]:
        return [leaf for part in state for leaf in leaves(part)] if isinstance(state, tuple) else [state]

    return leaves(step.result[1])


def _in_place_of(state: Any, leaves: Iterator[Any]) -> Any:
    """Return leaves in the structure of a state."""
    return tuple(_in_place_of(part, leaves) for part in state) if isinstance(state, tuple) else next(leaves)


def replaced(step: Step, values: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return a step's operands and keywords with ``values`` in place of ``operands_of(step)``."""
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
            keywords["initial_state"] = _in_place_of(step.result[1], iter(leaves))
    return operands, keywords


def code_of(step: Step) -> tuple[Any, tuple[str, ...], tuple[Any, ...]]:
    """Return a key that is equal for steps that do the same with operands of the same kinds."""

    def part(item: Any) -> Hashable:
        if isinstance(item, Value):
            return id(item.step) if isinstance(item.result, Cell) or item.step.key is parameter else Value
        return item if callable(item) else (type(item), repr(item))

    key: Any = step.key
    if isinstance(key, Index):
        key = ("item", *(int if type(entry) is int else repr(entry) for entry in key.index))
    operands = operands_of(step)
    if step.key in DRIVERS:
        operands = operands[: -len(_leaves_of_state(step))]
    names = tuple(sorted(name for name in step.keywords if name not in ("scope", "initial_state")))
    return key, names, tuple(map(part, operands))
