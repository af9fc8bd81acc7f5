"""The caller's own arrays for results: ``out=`` of calls and streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..declare.nest import is_leaf, paths
from ..errors import ArgumentError, DtypeError, NameLookupError, ShapeError, StructureError, Where


def given_arrays(structure: Any, out: Any, where: Where | None, also: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The arrays in ``out`` by output; the path of a bare Tensor is ``""``. ``also``: names beside the outputs'."""
    if out is None:
        return {}
    bare = is_leaf(structure)
    if not bare and not isinstance(out, Mapping):
        raise StructureError("out= must have the structure of the outputs", where)
    names = [path for path, _ in paths(structure)]
    given = {"": out} if bare else dict(paths(dict(out)))
    if not given:
        raise StructureError("out= has no arrays; give one for an output, or leave it out", where)
    for name, array in given.items():
        if name not in names and name not in also:
            raise NameLookupError(f"out= has {name!r}, which is no output; there are {', '.join(names)}", where)
        if not isinstance(array, np.ndarray) or not array.flags.writeable:
            raise DtypeError(f"out= needs writable arrays, not {type(array).__name__}", where)
    _check_apart(given, where)
    return given


def _check_apart(given: Mapping[str, np.ndarray], where: Where | None) -> None:
    """Results in one memory would overwrite each other."""
    places = sorted((*byte_bounds(array), name) for name, array in given.items())
    for position, (_, end, name) in enumerate(places):
        for start, _, other in places[position + 1 :]:
            if start >= end:
                break
            if np.shares_memory(given[name], given[other]):
                first, second = (path for path in given if path in (name, other))
                raise ArgumentError(
                    f"out= for {first} and for {second} share memory; give each result an array of its own", where
                )


def check_fits(name: str, array: np.ndarray, shape: Sequence[int], dtype: Any, where: Where | None) -> None:
    """An array of ``out=`` has just the shape and dtype of its result."""
    if array.shape != tuple(shape) or array.dtype != dtype:
        raise ShapeError(
            f"out= for {name or 'the output'} is {array.dtype}{list(array.shape)}; it must be {dtype}{list(shape)}",
            where,
        )
