"""Parsing of arguments that are the shapes of an element's components."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...declare.nest import flatten
from ...declare.tensor import Tensor
from ...support.errors import ShapeError, shown
from ..core.shapes import TensorShape


def shapes_in(shapes: Any, structure: Any) -> list[Any]:
    """Return a list of the shape of each leaf of ``structure``, with None for unknown sizes.

    Args:
        shapes: Nest of shapes: lists of ints, ``tf.TensorShape``s and constant vectors. Entries of dicts are matched by
            key.
        structure: Nest of the components of an element.
    """
    parsed, count = [*_each_shape(shapes, structure)], len(flatten(structure))
    if len(parsed) != count:
        raise ShapeError(
            f"{shown(shapes)} has {len(parsed)} shapes, but an element has {count} components; give one shape for each"
        )
    return parsed


def _each_shape(shapes: Any, structure: Any) -> Iterable[Any]:
    """Yield each shape of a nest as a tuple of ints and None; None for an unknown shape.

    Dicts in ``structure`` determine the order of the entries of dicts in ``shapes``.
    """
    if shapes is None:
        yield None
    elif isinstance(shapes, TensorShape):
        yield tuple(shapes.as_list())
    elif isinstance(shapes, dict):
        parts = structure if isinstance(structure, dict) and structure.keys() == shapes.keys() else shapes
        for key in parts:
            yield from _each_shape(shapes[key], parts[key])
    elif isinstance(shapes, Tensor):
        yield tuple(None if size == -1 else int(size) for size in shapes.node["value"])
    elif all(item is None or isinstance(item, int | np.integer) or hasattr(item, "value") for item in shapes):
        sizes = [getattr(item, "value", item) for item in shapes]
        yield tuple(None if size is None or size == -1 else int(size) for size in sizes)
    else:
        fits = isinstance(structure, list | tuple) and len(structure) == len(shapes)
        for item, part in zip(shapes, structure if fits else shapes, strict=True):
            yield from _each_shape(item, part)
