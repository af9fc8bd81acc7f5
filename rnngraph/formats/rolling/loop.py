"""``Loop``: equal iterations in unrolled code, the kinds of their operands, and the key by which steps are compared."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...declare.cell import Cell
from ...declare.parameters import parameter
from ...declare.running.drivers import dynamic_rnn, static_rnn
from ..steps import Index, Step, Value, leaves_in
from .formulas import Formula

DRIVERS = (static_rnn, dynamic_rnn)
ARITHMETIC = ("+", "-", "*", "/", "**")
"""Keys of steps whose numbers may differ between the iterations of a loop."""
MAX_LATE = 4
"""Maximum number of first iterations of a loop that read initial values in place of earlier entries or results."""
Place = tuple[int, tuple[int | str, ...]]
"""(index of a step in its iteration, path to a part of the step's result). The path () is the whole result."""


@dataclass(frozen=True)
class Inner:
    """Operand that an earlier step of the same iteration computes."""

    place: Place


@dataclass(frozen=True)
class Carried:
    """Operand that a step of an earlier iteration computes.

    Attributes:
        place: Place in the earlier iteration at which the value is computed.
        initial: Value in the first iteration; None for zeros.
        later: Values in the following iterations that also read a value from before the loop; None for zeros.
    """

    place: Place
    initial: Value | None
    later: tuple[Value | None, ...] = ()

    @property
    def lag(self) -> int:
        """Number of iterations back at which the value is computed: 1 for the previous one."""
        return 1 + len(self.later)


@dataclass(frozen=True, eq=False)
class Shared:
    """Loop-invariant operand: a value from outside the loop, or a literal."""

    value: Any


@dataclass(frozen=True, eq=False)
class Entries:
    """Operand that is an entry of an axis, at a position that advances with the iterations.

    Attributes:
        source: The value with the axis.
        axis: The axis.
        start: Position in the first iteration, or in the second iteration if ``ahead`` is not None.
        step: Difference of the positions of consecutive iterations.
        keeps: True if the axis is kept, with size 1.
        others: Index along all axes, with ``slice(None)`` along ``axis``.
        ahead: Irregular position in the first iteration, as in a decoder that reads the previous entry; None otherwise.
        before: Values that the first iterations read in place of entries, as in a loop that keeps the previous entry.
    """

    source: Value
    axis: int
    start: int
    step: int
    keeps: bool
    others: tuple[Any, ...]
    ahead: int | None = None
    before: tuple[Value, ...] = ()


@dataclass(frozen=True, eq=False)
class Numbers:
    """Operand that is another number in each iteration, by a formula of the iteration's index.

    Attributes:
        like: Constant tensor that is filled with the number in the first iteration; None for a literal.
        dtype: Dtype in which the loop computes with the number.
        beside: Entries that the loop reads at consecutive positions.
    """

    formula: Formula
    like: Value | None
    dtype: str
    beside: Entries


Operand = Inner | Carried | Shared | Entries | Numbers


@dataclass(eq=False)
class Loop:
    """Iterations of equal steps.

    Attributes:
        iterations: The steps of each iteration.
        operands: Operands of each step in an iteration, in the order of ``operands_of``.
        used: By place, the indices of the iterations whose result at that place is read outside of the loop.
        singly: As ``used``, but without readers that read the results of several iterations, such as stacks.
    """

    iterations: list[list[Step]]
    operands: list[list[Operand]]
    used: dict[Place, set[int]] = field(default_factory=dict)
    singly: dict[Place, set[int]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.iterations)

    @property
    def first(self) -> list[Step]:
        return self.iterations[0]


# Steps -----------------------------------------------------------------------------------------------


def operands_of(step: Step) -> Sequence[Any]:
    """Return a step's operands, in the same order for equal steps.

    A driver without an initial state has None for each leaf of the state. The list is computed once for each step.
    """
    if step.leaves is None:
        step.leaves = _operands_of(step)
    return step.leaves


def _operands_of(step: Step) -> list[Any]:
    """Return a step's operands as a flat list: values, literals, and None for absent leaves of an initial state."""
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
    """Return the leaves of the state that a driver or cell step returns."""

    def leaves(state: Any) -> list[Any]:
        return [leaf for part in state for leaf in leaves(part)] if isinstance(state, tuple) else [state]

    return leaves(step.result[1])


def _in_place_of(state: Any, leaves: Iterator[Any]) -> Any:
    """Return a nest like ``state`` whose leaves are the next items of ``leaves``."""
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


def code_of(step: Step, varies: bool = False) -> tuple[Any, tuple[str, ...], tuple[Any, ...]]:
    """Return a hashable key of a step's function and literals, without the positions of single entries in indices.

    Args:
        varies: True to ignore the values of numbers in arithmetic.
    """

    def part(item: Any) -> Hashable:
        if varies and step.key in ARITHMETIC and type(item) in (int, float):
            return float
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


# Dependence -------------------------------------------------------------------------------------------


def needed_steps(loop: Loop) -> set[int]:
    """Return the indices of an iteration's steps that are read after the loop, directly or through later iterations."""
    needed: set[int] = set()
    pending = [place for place, _ in loop.used]
    while pending:
        place = pending.pop()
        if place not in needed:
            needed.add(place)
            pending += [item.place[0] for item in loop.operands[place] if isinstance(item, Inner | Carried)]
    return needed


def closure(reads: Mapping[int, set[int]]) -> dict[int, set[int]]:
    """Return the transitive closure of a relation, by Warshall's algorithm. The bits of an int represent a set."""
    rows = {place: sum(1 << other for other in others) for place, others in reads.items()}
    for through in rows:
        bit, further = 1 << through, rows[through]
        for place, row in rows.items():
            if row & bit:
                rows[place] = row | further
    return {place: {other for other in rows if row >> other & 1} for place, row in rows.items()}
