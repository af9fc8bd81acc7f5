"""Shapes as programs give them for the components of elements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...support.errors import ShapeError, shown
from ..core.shapes import TensorShape


def shapes_in(given: Any, count: int) -> list[Any]:
    """Return shapes of a nest of them: lists, tuples and ``tf.TensorShape``."""
    found = [*_each_shape(given)]
    if len(found) != count:
        raise ShapeError(f"{shown(given)} has {len(found)} shapes, and an element has {count} components")
    return found


def _each_shape(given: Any) -> Iterable[Any]:
    if given is None:
        yield None
    elif isinstance(given, TensorShape):
        yield tuple(given.as_list())
    elif isinstance(given, dict):
        for key in sorted(given):
            yield from _each_shape(given[key])
    elif isinstance(given, Tensor):
        yield tuple(int(size) for size in given.node["value"])
    elif all(item is None or isinstance(item, int | np.integer) or hasattr(item, "value") for item in given):
        sizes = [getattr(item, "value", item) for item in given]
        yield tuple(None if size is None or size == -1 else int(size) for size in sizes)
    else:
        for item in given:
            yield from _each_shape(item)
