"""What a caller gives for each output: arrays for results, ``out=``, and gradients, ``output_gradients=``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ...declare.nest import is_leaf, paths
from ...errors import ArgumentError, DtypeError, NameLookupError, ShapeError, StructureError, Where, shown
from ...ir.graph import Node
from ...ir.types import FLOATS


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
            raise NameLookupError(f"out= has {shown(name)}, which is no output; there are {', '.join(names)}", where)
        if not isinstance(array, np.ndarray) or not array.flags.writeable:
            raise DtypeError(f"out= needs writable arrays, not {type(array).__name__}", where)
    _check_apart(given, where)
    return given


def _check_apart(given: Mapping[str, np.ndarray], where: Where | None) -> None:
    """Raises where two arrays share memory: results would overwrite each other."""
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
    """Raises where an array of ``out=`` has not the shape and dtype of its result."""
    if array.shape != tuple(shape) or array.dtype != dtype:
        raise ShapeError(
            f"out= for {name or 'the output'} is {array.dtype}{list(array.shape)}; it must be {dtype}{list(shape)}",
            where,
        )


def given_gradients(
    structure: Any, outputs: Mapping[str, Node], output_gradients: Any, where: Where | None
) -> dict[str, Any]:  # fmt: skip
    """Gradients by output. outputs: nodes of the graph, by name."""
    if output_gradients is None:
        return {}
    if is_leaf(structure):
        given = dict.fromkeys(outputs, output_gradients)
    elif isinstance(output_gradients, Mapping):
        given = {name: item for name, item in paths(dict(output_gradients)) if item is not None}
    else:
        raise StructureError("output_gradients= must have the structure of the outputs", where)
    for name in given:
        if name not in outputs or name == "loss":
            names = ", ".join(other for other in outputs if other != "loss")
            raise NameLookupError(f"output_gradients= has {shown(name)}, which is no output; there are {names}", where)
        if outputs[name].dtype not in FLOATS:
            raise DtypeError(f"output {name} is {outputs[name].dtype}; it has no gradient", where)
    if not given:
        raise StructureError("output_gradients= is empty; give the gradient of an output", where)
    return given
