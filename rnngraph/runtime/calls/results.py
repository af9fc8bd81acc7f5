"""What a call gives: results in the structure of the outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...declare.nest import SHALLOW, children, fold, height, is_leaf, pack
from ...errors import NameLookupError, did_you_mean, shown
from ...missing import Named

Leaf = Callable[[], np.ndarray]
"""Gives one array of a result, fresh."""


if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Given = TypeVar("Given", default="Result")
else:
    from typing import TypeVar

    Given = TypeVar("Given")
"""What a program's calls give: a ``Result``, or an array where one bare Tensor was compiled without a loss."""


class Result(Named):
    """A mapping with the structure that was handed to ``compile``."""

    __slots__ = ()

    def __missing__(self, name: Any) -> Any:
        raise NameLookupError(
            f"the result has no {shown(name)}{did_you_mean(name, self) or '; it has ' + ', '.join(self)}"
        )


def result_of(structure: Any, arrays: Sequence[np.ndarray]) -> Any:
    """Arrays, in the order of the leaves, as what a call gives."""
    whole = pack(structure, arrays)
    return Result(whole) if isinstance(structure, dict) else whole


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
    small call.
    """
    remaining = iter(leaves)
    entries = children(structure)
    if entries is None:
        return next(remaining)
    parts = [_inner_giver(child, remaining) for _, child in entries]
    if isinstance(structure, dict):
        named = tuple(zip(structure, parts, strict=True))

        def give() -> Result:
            result = Result()
            for key, part in named:
                result[key] = part()
            return result

        return give
    make = _maker(structure)
    return lambda: make([part() for part in parts])


def _inner_giver(nest: Any, leaves: Iterator[Leaf]) -> Callable[[], Any]:
    """Gives a part of a result. One that is deep is made entries before what holds them: nests may be deeper than
    Python's stack.
    """
    if is_leaf(nest):
        return next(leaves)
    if height(nest) <= SHALLOW:
        return _shallow_giver(nest, leaves)
    plan: list[tuple[Callable[..., Any], int]] = []  # what gives a leaf, or makes a nest of so many entries
    fold(
        nest,
        lambda leaf: plan.append((next(leaves), -1)),
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
    if type(nest) is dict:
        named = tuple(zip(nest, parts, strict=True))
        return lambda: {key: part() for key, part in named}
    make = _maker(nest)
    return lambda: make([part() for part in parts])


def _maker(nest: Any) -> Callable[[list[Any]], Any]:
    """Makes a nest like this one of the values of its entries."""
    kind: Any = type(nest)
    if isinstance(nest, dict):
        keys, mapping = tuple(nest), Result if isinstance(nest, Result) else dict
        return lambda values: mapping(zip(keys, values, strict=True))
    return kind._make if hasattr(nest, "_fields") else kind
