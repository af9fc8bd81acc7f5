"""Dependence of unrolled iterations on previous ones, and the keys by which indices and literals are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from ...declare.tensor import Tensor
from ..script import Script
from ..steps import Index, Step, Value
from .loop import MAX_LATE, operands_of

MIN_ITERATIONS = 3
"""Minimum iterations of a loop without a recurrent cell. With a recurrent cell, two are enough."""
Family: TypeAlias = tuple[int, tuple[int | str, ...], tuple[Hashable, ...]]


def family_of(step: Step) -> Family:
    """Return a key that is equal for steps that index the same axes of one value, at any position.

    The key is (id of the step that computes the value, path in its result, index without positions).
    """
    source = step.operands[0]

    def pattern(axis: int, entry: Any) -> Hashable:
        if entry != slice(None) and takes_one_entry(step, axis):
            return slice
        return int if type(entry) is int else repr(entry)

    return id(source.step), source.path, tuple(pattern(*item) for item in enumerate(step.key.index))


def takes_one_entry(step: Step, axis: int) -> bool:
    """True if a step's slice of an axis has one entry. The result's size decides, since a slice may have no end."""
    entry, before = step.key.index[axis], step.key.index[:axis]
    if type(entry) is not slice or entry.step is not None or not {*map(type, before)} <= {int, slice, type(None)}:
        return False
    place = sum(type(other) is not int for other in before)  # an int drops its axis
    return isinstance(step.result, Tensor) and step.result.shape[place] == 1


def equal_literals(a: object, b: object) -> bool:
    """True for the same object, or for literals with the same ``repr``."""
    return a is b or (type(a) is type(b) and repr(a) == repr(b))


def longest_equal_run(iterations: list[list[Step]], may_repeat: Sequence[bool]) -> list[list[Step]]:
    """Return the longest run of consecutive iterations that all depend in one way on earlier iterations.

    Among equally long runs, the first is returned. If no iteration may repeat, the first two are returned.

    Args:
        iterations: The iterations.
        may_repeat: For each iteration, False if it surely depends on earlier ones in another way than the previous one.
    """
    if not any(may_repeat):
        return iterations[:2]
    places = {step: (number, place) for number, steps in enumerate(iterations) for place, step in enumerate(steps)}
    links = [_link(number, *pair, places) for number, pair in enumerate(pairwise(iterations), 1)]
    best = first = 0
    length = 1
    for number in range(len(links)):
        if number == 0 or links[number] != links[number - 1]:
            first = number
        if number + 2 - first > length:
            best, length = first, number + 2 - first
    return iterations[best : best + length]


def may_repeat_after(steps: Sequence[Step], period: int) -> np.ndarray:
    """Return a bool for each step: True if its operands may continue those of the steps one and two periods before.

    True means that an exact comparison by ``_link`` must follow. The steps of the first two periods get False.
    """
    places = {step: place for place, step in enumerate(steps)}
    operands = [operands_of(step) for step in steps]
    sources = [[places.get(item.step) if isinstance(item, Value) else None for item in items] for items in operands]
    result = np.zeros(len(steps), bool)
    for place in range(2 * period, len(steps)):
        one, two, three = (operands[place - back * period] for back in (2, 1, 0))
        before, after = sources[place - period], sources[place]
        is_early = place < (1 + MAX_LATE) * period
        result[place] = all(
            _may_follow(a, b, c)
            or (is_early and other is None and source is not None)  # a value from before the run
            or (source is not None and other is not None and source == other + period and b.path == c.path)
            for a, b, c, other, source in zip(one, two, three, before, after, strict=True)
        )
    return result


def _may_follow(one: object, two: object, three: object) -> bool:
    """True if an operand in three iterations is a literal, or one value, or may be a sequence of entries or numbers.

    Literals are not compared.
    """
    items = (one, two, three)
    if not any(isinstance(item, Value) for item in items):
        return True
    if not (isinstance(one, Value) and isinstance(two, Value) and isinstance(three, Value)):
        return False
    same = one.step is two.step is three.step and one.path == two.path == three.path
    is_filled = two.step.fill is not None and three.step.fill is not None  # numbers by a formula
    return same or is_filled or isinstance(three.step.key, Index)  # initial values may precede entries


def _link(number: int, before: list[Step], after: list[Step], places: Mapping[Step, tuple[int, int]]) -> list[Hashable]:
    """Return a comparable description of each operand of an iteration, which says how it depends on earlier iterations.

    Args:
        number: Index of the iteration.
        before: Steps of the previous iteration.
        after: Steps of the iteration.
        places: (index of the iteration, index in the iteration), by step of the run.
    """
    links: list[Hashable] = []
    for a, b in zip(
        (i for s in before for i in operands_of(s)), (i for s in after for i in operands_of(s)), strict=True
    ):
        if not isinstance(b, Value):
            is_number = type(a) in (int, float) and type(b) in (int, float)
            links.append("literal" if is_number or equal_literals(a, b) else object())
        elif b.step in places and number - places[b.step][0] <= MAX_LATE:
            links.append((number - places[b.step][0], places[b.step][1], b.path))
        elif isinstance(a, Value) and a.step is b.step and a.path == b.path:
            links.append("same")
        elif isinstance(a, Value) and a.step.fill is not None and b.step.fill is not None:
            links.append("filled")
        elif isinstance(a, Value) and isinstance(a.step.key, Index) and isinstance(b.step.key, Index):
            links.append((family_of(a.step), family_of(b.step)))
        else:
            links.append(object())
    return links


def is_index(step: Step) -> bool:
    """True if a step indexes a value."""
    return isinstance(step.key, Index)


def takes_entries(script: Script) -> bool:
    """True if a script seems to have an unrolled loop: several steps index one axis of a value, each at one entry."""
    return max(_entries_of(script).values(), default=0) >= MIN_ITERATIONS


def entries_taken(script: Script) -> int:
    """Return the number of steps that index one entry of an axis. Loops that are not rolled up have many such steps."""
    return _entries_of(script).total()


def _entries_of(script: Script) -> Counter[Family]:
    """Return {(value, axis) key: number of steps that index a single entry of the axis}."""
    return Counter(family_of(step) for step in script.steps if is_index(step) and _is_one(step.key.index))


def _is_one(index: Sequence[Any]) -> bool:
    """True if an index selects a single entry of one axis."""
    return [type(entry) for entry in index if entry != slice(None)] == [int]
