"""What a call gives: results in the structure of the outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...declare.nest import SHALLOW, children, fold, height, is_leaf
from ...support.attribute_hints import OF_RESULTS, Named, Uncallable

Leaf = Callable[[], np.ndarray]
"""Gives one array of a result, fresh."""


if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Given = TypeVar("Given", default="Result")
    Trained = TypeVar("Trained", default=Given)
else:
    from typing import TypeVar

    Given, Trained = TypeVar("Given"), TypeVar("Trained")
"""What calls of a program's inference graph and of its training graph give: a ``Result``, or an array where one bare
Tensor was compiled; with a loss the training graph gives a ``Result`` in any case.
"""


class Result(Uncallable, Named):
    """A mapping with the structure that was handed to ``compile``; so are the mappings within."""

    __slots__ = ()
    _title = "the result"
    _instead = OF_RESULTS


def result_of(structure: Any, arrays: Sequence[Any]) -> Any:
    """Arrays, in the order of the leaves, as what a call gives."""
    remaining = iter(arrays)
    return fold(structure, lambda leaf: next(remaining), lambda nest, entries: _maker(nest)(entries))


class ResultWriter:
    """Writes results from memory that later calls write over. Serves one call at a time."""

    def __init__(self, structure: Any, memory: Sequence[np.ndarray | None], takes: Sequence[Callable[[], Any]]) -> None:
        """memory: of each leaf; None: of its own in each call. takes: gives each an array for the caller; None where
        native code wrote to the caller's own.
        """
        self._leaves = [*zip(memory, takes, strict=True)]
        self.give = giver(structure, takes)
        self._bare, self._structure = is_leaf(structure), structure
        self._filled: deque[np.ndarray] = deque()
        self._give_filled: Callable[[], Any] | None = None  # few calls take arrays of the caller's

    def give_into(self, arrays: list[Any]) -> Any:
        """The same as ``give`` with these arrays, filled, but for None in place of one that is to be fresh."""
        for number, (memory, take) in enumerate(self._leaves):
            array = arrays[number]
            if array is None:
                arrays[number] = take()
            elif memory is not None:
                array[...] = memory
            elif (apart := take()) is not None:
                array[...] = apart
        if self._bare:
            return arrays[0]
        filled = self._filled
        filled.clear()  # of what a call that was interrupted left
        filled.extend(arrays)
        if self._give_filled is None:
            self._give_filled = giver(self._structure, [filled.popleft] * len(arrays))
        return self._give_filled()


def giver(structure: Any, leaves: Sequence[Leaf]) -> Callable[[], Any]:
    """A function that makes a result of what ``leaves`` give, again and again: to walk a structure takes longer than a
    small call. One that is deep is made entries before what holds them, as it may be deeper than Python's stack.
    """
    remaining = iter(leaves)
    if height(structure) <= SHALLOW:
        return _shallow_giver(structure, remaining)
    plan: list[tuple[Callable[..., Any], int]] = []  # what gives a leaf, or makes a nest of so many entries
    fold(
        structure,
        lambda leaf: plan.append((next(remaining), -1)),
        lambda item, parts: plan.append((_maker(item), len(parts))),
    )

    def give() -> Any:
        made: list[Any] = []
        for make, count in plan:
            if count < 0:
                made.append(make())
            else:
                first = len(made) - count
                made[first:] = [make(made[first:])]
        return made[0]

    return give


def _shallow_giver(nest: Any, leaves: Iterator[Leaf]) -> Callable[[], Any]:
    entries = children(nest)
    if entries is None:
        return next(leaves)
    parts = [_shallow_giver(child, leaves) for _, child in entries]
    if isinstance(nest, dict):
        named = tuple(zip(nest, parts, strict=True))

        def give() -> Result:
            result = Result()
            for key, part in named:
                result[key] = part()
            return result

        return give
    make = _maker(nest)
    return lambda: make([part() for part in parts])


def _maker(nest: Any) -> Callable[[list[Any]], Any]:
    """Makes a nest like this one of the values of its entries."""
    kind: Any = type(nest)
    if isinstance(nest, dict):
        keys = tuple(nest)
        return lambda values: Result(zip(keys, values, strict=True))
    return kind._make if hasattr(nest, "_fields") else kind
