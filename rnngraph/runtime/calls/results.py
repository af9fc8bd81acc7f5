"""Results of calls, in the structure of the outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...declare.nest import SHALLOW, children, fold, height, is_leaf
from ...support.attribute_hints import OF_RESULTS, Named, Uncallable

Leaf = Callable[[], np.ndarray]
"""Function that returns a fresh array of a result."""


if TYPE_CHECKING:
    from typing_extensions import TypeVar

    ResultT = TypeVar("ResultT", default="Result")
    TrainedT = TypeVar("TrainedT", default=ResultT)
else:
    from typing import TypeVar

    ResultT, TrainedT = TypeVar("ResultT"), TypeVar("TrainedT")
"""Result types of a program's inference graph and training graph.

Each is a ``Result``, or an array if a bare Tensor was compiled. With a loss, the training graph always returns a
``Result``.
"""


class Result(Uncallable, Named):
    """Mapping with the structure that ``compile`` received. Nested mappings are results, too."""

    __slots__ = ()
    _title = "the result"
    _instead = OF_RESULTS


def result_of(structure: Any, arrays: Sequence[Any]) -> Any:
    """Return the structure of the outputs with ``arrays`` as its leaves, in their order."""
    remaining = iter(arrays)
    return fold(structure, lambda leaf: next(remaining), lambda nest, entries: _container_builder(nest)(entries))


class ResultWriter:
    """Builder of results from memory that later calls overwrite. It can be used by one call at a time."""

    def __init__(self, structure: Any, memory: Sequence[np.ndarray | None], takes: Sequence[Callable[[], Any]]) -> None:
        """Prepare the building of results of one structure.

        Args:
            structure: Structure of the outputs.
            memory: Array of each leaf that later calls overwrite; None for a leaf in a new or the caller's array.
            takes: For each leaf, a function that returns an array for the caller, or None if native code wrote to the
                caller's array.
        """
        self._leaves = [*zip(memory, takes, strict=True)]
        self.give = result_builder(structure, takes)
        self._bare, self._structure = is_leaf(structure), structure
        self._filled: deque[np.ndarray] = deque()
        self._give_filled: Callable[[], Any] | None = None  # built when a call passes arrays

    def fill_into(self, arrays: list[Any]) -> Any:
        """Return the results in the caller's ``arrays``, by leaf. A None is replaced by a new array."""
        for number, (memory, take) in enumerate(self._leaves):
            array = arrays[number]
            if array is None:
                arrays[number] = take()
            elif memory is not None:
                array[...] = memory
            elif (own := take()) is not None:
                array[...] = own
        if self._bare:
            return arrays[0]
        filled = self._filled
        filled.clear()  # leftovers of an interrupted call
        filled.extend(arrays)
        if self._give_filled is None:
            self._give_filled = result_builder(self._structure, [filled.popleft] * len(arrays))
        return self._give_filled()


def result_builder(structure: Any, leaves: Sequence[Leaf]) -> Callable[[], Any]:
    """Return a function that builds a nest of results from ``leaves``.

    A deep structure is built bottom-up without recursion, which might exceed Python's stack.
    """
    remaining = iter(leaves)
    if height(structure) <= SHALLOW:
        return _shallow_builder(structure, remaining)
    plan: list[tuple[Callable[..., Any], int]] = []  # (function of a leaf or nest, its number of entries)
    fold(
        structure,
        lambda leaf: plan.append((next(remaining), -1)),
        lambda item, parts: plan.append((_container_builder(item), len(parts))),
    )

    def give() -> Any:
        stack: list[Any] = []
        for make, count in plan:
            if count < 0:
                stack.append(make())
            else:
                first = len(stack) - count
                stack[first:] = [make(stack[first:])]
        return stack[0]

    return give


def _shallow_builder(nest: Any, leaves: Iterator[Leaf]) -> Callable[[], Any]:
    """Return a function that builds a nest of small depth by recursion."""
    entries = children(nest)
    if entries is None:
        return next(leaves)
    parts = [_shallow_builder(child, leaves) for _, child in entries]
    if isinstance(nest, dict):
        named = tuple(zip(nest, parts, strict=True))

        def give() -> Result:
            result = Result()
            for key, part in named:
                result[key] = part()
            return result

        return give
    make = _container_builder(nest)
    return lambda: make([part() for part in parts])


def _container_builder(nest: Any) -> Callable[[list[Any]], Any]:
    """Return a function that builds one container from its entries."""
    kind: Any = type(nest)
    if isinstance(nest, dict):
        keys = tuple(nest)
        return lambda values: Result(zip(keys, values, strict=True))
    return kind._make if hasattr(nest, "_fields") else kind
