"""Arrays that a caller passes by output: ``out=`` for results, and ``output_gradients=``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.lib.array_utils import byte_bounds

from ...declare.nest import fold, is_leaf, paths
from ...ir.graph import Node
from ...ir.types import FLOATS
from ...support.errors import ArgumentError, DtypeError, NameLookupError, ShapeError, StructureError, Where, shown
from ...support.records import NamedTuple
from .results import Result

_CONTIGUOUS, _OWNS_DATA, _WRITEABLE = 0x1, 0x4, 0x400  # NumPy's flags
_Leaf = tuple[int, tuple[int, ...], np.dtype[Any]]
"""(number of the leaf, shape, dtype) of a result."""


class _Nest(NamedTuple):
    """Container in the structure of results: its type, and its leaves or nests by key or position."""

    container: Any
    parts: Mapping[Any, Any]


class OutSpec:
    """Expected content of ``out=`` in calls with results of fixed structure and shapes."""

    def __init__(self, structure: Any, kinds: Sequence[tuple[tuple[int, ...], Any]], also: Sequence[str] = ()) -> None:
        """Describe the results.

        Args:
            structure: Structure of the outputs.
            kinds: Shape and dtype of each result, in the order of the leaves.
            also: Names of further outputs for which ``out=`` may have arrays, which are ignored.
        """
        self._structure, self._kinds, self._also, self._count = structure, kinds, also, len(kinds)
        self._expected: _Nest | _Leaf | None = None  # built at the first use

    def checked(self, out: Any, where: Where | None) -> list[ndarray | None] | None:
        """Return, from a caller's ``out=``, the array or None for each result, validated; None if ``out`` is None.

        Raise an error if ``out`` is invalid.
        """
        if out is None:
            return None
        arrays_by_path = _arrays_by_output(self._structure, out, where, self._also)
        arrays: list[ndarray | None] = []
        for (name, _), (shape, dtype) in zip(paths(self._structure), self._kinds, strict=True):
            array = arrays_by_path.get(name)
            if array is not None and (array.shape != tuple(shape) or array.dtype != dtype):
                raise ShapeError(
                    f"out= for {name or 'the output'} is {array.dtype}{list(array.shape)}; "
                    f"it must be {dtype}{list(shape)}",
                    where,
                )
            arrays.append(array)
        return arrays

    def arrays(self, out: Any) -> list[ndarray | None] | None:
        """Return, from a caller's ``out=``, the array or None for each result; None if ``checked`` must decide.

        The arrays are validated at each call, because they may have been resized or made read-only since the last one.
        """
        expected = self._expected
        if expected is None:
            expected = self._expected = _expected(self._structure, self._kinds)
        if not isinstance(expected, _Nest):
            return [out] if type(out) is ndarray and _can_receive(out, expected) else None
        arrays: list[ndarray | None] = [None] * self._count
        together = _collect_arrays(expected, out, arrays)
        if not together:
            return None
        present = [array for array in arrays if array is not None]
        if len(present) < 2:
            return arrays if present else None
        if together & _OWNS_DATA:
            are_distinct = len(set(map(id, present))) == len(present)
        else:
            are_distinct = not any(np.may_share_memory(one, other) for one, other in combinations(present, 2))
        return arrays if are_distinct else None


def _arrays_by_output(structure: Any, out: Any, where: Where | None, also: Sequence[str]) -> dict[str, ndarray]:
    """Return the arrays of ``out`` by output path, validated."""
    bare = is_leaf(structure)
    if not bare and not isinstance(out, Mapping):
        raise StructureError("out= must have the structure of the outputs; give a dict of arrays by output", where)
    names = [path for path, _ in paths(structure)]
    by_path = {"": out} if bare else dict(paths(dict(out)))
    if not by_path:
        raise StructureError("out= contains no arrays; pass an array for at least one output, or omit out=", where)
    for name, array in by_path.items():
        if name not in names and name not in also:
            raise NameLookupError(
                f"out= has {shown(name)}, which is not an output; there are {', '.join(names)}", where
            )
        output = name or "the output"
        if not isinstance(array, np.ndarray):
            raise DtypeError(f"out= for {output} is {shown(array)}; give a writable NumPy array", where)
        if not array.flags.writeable:
            raise DtypeError(f"out= for {output} is read-only; give an array that may be written to", where)
        if not _is_nonoverlapping(array):
            raise ArgumentError(
                f"out= for {output} has elements that share memory (strides {array.strides}); pass an array whose "
                "elements do not overlap",
                where,
            )
    _check_separate(by_path, where)
    return by_path


def _is_nonoverlapping(array: ndarray) -> bool:
    """True if the strides prove that no two elements of an array overlap."""
    reach = array.itemsize
    for stride, count in sorted((abs(step), size) for step, size in zip(array.strides, array.shape, strict=True)):
        if count > 1 and stride < reach:
            return not array.size
        reach += stride * (count - 1)
    return True


def _check_separate(arrays: Mapping[str, np.ndarray], where: Where | None) -> None:
    """Raise an error if two arrays share memory."""
    places = sorted((*byte_bounds(array), name) for name, array in arrays.items())
    for position, (_, end, name) in enumerate(places):
        for start, _, other in places[position + 1 :]:
            if start >= end:
                break
            if np.shares_memory(arrays[name], arrays[other]):
                first, second = (path for path in arrays if path in (name, other))
                raise ArgumentError(
                    f"out= for {first} and for {second} share memory; give each result a separate array", where
                )


def _expected(nest: Any, kinds: Sequence[tuple[tuple[int, ...], Any]]) -> _Nest | _Leaf:
    """Return the structure of results with the number, shape and dtype of each leaf."""
    leaves: Iterator[_Leaf] = ((number, shape, np.dtype(dtype)) for number, (shape, dtype) in enumerate(kinds))

    def join_parts(item: Any, parts: list[Any]) -> _Nest:
        keys = item if isinstance(item, dict) else range(len(parts))
        return _Nest(dict if isinstance(item, dict) else type(item), dict(zip(keys, parts, strict=True)))

    expected: _Nest | _Leaf = fold(nest, lambda _: next(leaves), join_parts)
    return expected


def _can_receive(array: ndarray, leaf: _Leaf) -> bool:
    """True if an array can receive the result of a leaf."""
    _, shape, dtype = leaf
    flags = array.flags.num
    if array.shape != shape or not flags & _WRITEABLE or not (flags & _CONTIGUOUS or _is_nonoverlapping(array)):
        return False
    return array.dtype is dtype or array.dtype == dtype  # usually the identical object


def _collect_arrays(expected: _Nest, value: Any, arrays: list[ndarray | None]) -> int:
    """Store the arrays of ``out``, by leaf, in ``arrays``. Return the NumPy flags of all; 0 if one does not fit."""
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
                if not (flags & _CONTIGUOUS or _is_nonoverlapping(item)):
                    return 0
                together &= flags
                arrays[number] = item
            elif part is None:
                return 0
            else:
                pending.append((part, item))
    return together


def checked_gradients(
    structure: Any, outputs: Mapping[str, Node], output_gradients: Any, where: Where | None
) -> dict[str, Any]:
    """Return the gradients by output name, without entries of None. Names are validated, arrays are not."""
    if output_gradients is None:
        return {}
    if is_leaf(structure):
        by_output = {name: output_gradients for name in outputs if name != "loss"}
    elif isinstance(output_gradients, Mapping):
        by_output = {name: item for name, item in paths(dict(output_gradients)) if item is not None}
    else:
        raise StructureError(
            "output_gradients= must have the structure of the outputs; give a dict of arrays by output", where
        )
    for name in by_output:
        if name not in outputs or name == "loss":
            names = ", ".join(other for other in outputs if other != "loss")
            raise NameLookupError(
                f"output_gradients= has {shown(name)}, which is not an output; there are {names}", where
            )
        if outputs[name].dtype not in FLOATS:
            raise DtypeError(f"output {name} is {outputs[name].dtype}; it has no gradient", where)
    if not by_output:
        raise StructureError("output_gradients= is empty; give the gradient of an output", where)
    return by_output
