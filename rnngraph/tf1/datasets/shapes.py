"""Parsing of arguments that are the shapes of an element's components."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...support.errors import ShapeError, shown
from ..core.shapes import TensorShape


def shapes_in(shapes: Any, count: int) -> list[Any]:
    """Return the ``count`` shapes in a nest of lists, tuples, dicts and ``tf.TensorShape``, with None for -1."""
    parsed = [*_each_shape(shapes)]
    if len(parsed) != count:
        raise ShapeError(
            f"{shown(shapes)} has {len(parsed)} shapes, but an element has {count} components; give one shape for each"
        )
    return parsed


def _each_shape(shapes: Any) -> Iterable[Any]:
    """Yield each shape of a nest as a tuple of ints and None; None for an unknown shape."""
    if shapes is None:
        yield None
    elif isinstance(shapes, TensorShape):
        yield tuple(shapes.as_list())
    elif isinstance(shapes, dict):
        for key in sorted(shapes):
            yield from _each_shape(shapes[key])
    elif isinstance(shapes, Tensor):
        yield tuple(int(size) for size in shapes.node["value"])
    elif all(item is None or isinstance(item, int | np.integer) or hasattr(item, "value") for item in shapes):
        sizes = [getattr(item, "value", item) for item in shapes]
        yield tuple(None if size is None or size == -1 else int(size) for size in sizes)
    else:
        for item in shapes:
            yield from _each_shape(item)
