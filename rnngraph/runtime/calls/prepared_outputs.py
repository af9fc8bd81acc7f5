"""``out=`` of prepared calls: the caller's arrays for results, where all of them are plainly right."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from ...declare.nest import fold, is_leaf
from .results import Leaf, Result, giver

_OWNS_DATA, _WRITEABLE = 0x4, 0x400  # NumPy's flags
_Leaf = tuple[int, tuple[int, ...], np.dtype[Any]]
"""Number of the leaf, shape and dtype of a result."""


class _Nest(NamedTuple):
    """A container of the structure: its type, and a leaf or a nest by key, or by number where it is no dict."""

    container: Any
    parts: Mapping[Any, Any]


class OutSpec:
    """What ``out=`` may hold in calls whose results are of one structure and of fixed shapes."""

    def __init__(self, structure: Any, expected: Sequence[tuple[tuple[int, ...], Any]]) -> None:
        """expected: shape and dtype of each result, in the order of the structure's leaves."""
        leaves: Iterator[_Leaf] = ((number, shape, np.dtype(dtype)) for number, (shape, dtype) in enumerate(expected))
        self._count, self._expected = len(expected), _expected(structure, leaves)

    def arrays(self, out: Any) -> list[ndarray | None] | None:
        """The array for each leaf, None where a leaf has none; None in place of all that is not plainly right.

        Looked at again each time: an array may have been resized, or made read-only, since the call before.
        """
        expected = self._expected
        if not isinstance(expected, _Nest):
            return [out] if type(out) is ndarray and _fits(out, expected) else None
        found: list[ndarray | None] = [None] * self._count
        together = _read(expected, out, found)
        if not together:
            return None
        given = [array for array in found if array is not None]
        if len(given) < 2:
            return found if given else None
        if together & _OWNS_DATA:
            apart = len(set(map(id, given))) == len(given)
        else:
            apart = not any(np.may_share_memory(one, other) for one, other in combinations(given, 2))
        return found if apart else None


def _expected(nest: Any, leaves: Iterator[_Leaf]) -> _Nest | _Leaf:
    def whole(item: Any, parts: list[Any]) -> _Nest:
        keys = item if isinstance(item, dict) else range(len(parts))
        return _Nest(dict if isinstance(item, dict) else type(item), dict(zip(keys, parts, strict=True)))

    expected: _Nest | _Leaf = fold(nest, lambda _: next(leaves), whole)
    return expected


def _fits(array: ndarray, leaf: _Leaf) -> bool:
    """Whether an array may take the result of a leaf."""
    _, shape, dtype = leaf
    if array.shape != shape or not array.flags.writeable:
        return False
    return array.dtype is dtype or array.dtype == dtype  # mostly the very object


def _read(expected: _Nest, value: Any, found: list[ndarray | None]) -> int:
    """Fills ``found`` with the arrays by leaf. Gives the flags that all have; 0 where anything is not as expected."""
    together = _OWNS_DATA | _WRITEABLE
    pending: list[tuple[_Nest, Any]] = [(expected, value)]
    entries: Iterable[tuple[Any, Any]]
    while pending:
        (container, parts), nest = pending.pop()
        if container is dict:
            if type(nest) is not dict and type(nest) is not Result:
                return 0
            entries = nest.items()
        elif type(nest) is container and len(nest) == len(parts):
            entries = enumerate(nest)
        else:
            return 0
        for key, item in entries:
            part = parts.get(key)
            if type(part) is tuple:
                if type(item) is not ndarray:
                    return 0
                number, shape, dtype = part
                flags = item.flags.num
                if item.shape != shape or not flags & _WRITEABLE or (item.dtype is not dtype and item.dtype != dtype):
                    return 0
                together &= flags
                found[number] = item
            elif part is None:
                return 0
            else:
                pending.append((part, item))
    return together


class ResultWriter:
    """Writes results from memory that later calls write over. Serves one call at a time."""

    def __init__(self, structure: Any, memory: Sequence[ndarray | None], fresh: Sequence[Leaf]) -> None:
        """memory: of each leaf; None where what is in it is written to the caller's array by the native code.
        fresh: gives an array of its own for each.
        """
        self._leaves = [*zip(memory, fresh, strict=True)]
        self.give = giver(structure, fresh)
        self._bare = is_leaf(structure)
        self._filled: deque[ndarray] = deque()
        self._give_filled = giver(structure, [self._filled.popleft] * len(fresh))

    def give_into(self, arrays: list[Any]) -> Any:
        """The same as ``give`` with these arrays, filled, but for None in place of one that is to be fresh."""
        for number, (memory, fresh) in enumerate(self._leaves):
            array = arrays[number]
            if array is None:
                arrays[number] = fresh()
            elif memory is not None:
                array[...] = memory
        if self._bare:
            return arrays[0]
        filled = self._filled
        filled.clear()  # of what a call that was interrupted left
        filled.extend(arrays)
        return self._give_filled()
