"""Recognises index arrays that exporters compute from sizes: one constant, or consecutive integers along an axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....ir.types import Dim, Size
from ...steps import Index, Value
from .known import Expanded, Known, Operand, shape_of
from .tensors import Tensors

_RESHAPES = (basic.reshape, basic.expand_dims, basic.squeeze)


@dataclass(frozen=True)
class Range:
    """Consecutive integers along ``axis``, starting at ``first``. If ``axis`` is None, all entries are ``first``."""

    first: Dim
    axis: int | None


def range_of(tensors: Tensors, x: Any) -> Range | None:
    """Return a value as a ``Range``; None if its entries are not known to be consecutive or equal.

    Args:
        x: An int, an operand or another value.
    """
    if isinstance(x, int):
        return Range(x, None)
    if isinstance(x, Known):
        return _of_known(x)
    if isinstance(x, Expanded):
        return _with_leading_axes(range_of(tensors, x.source), len(x.shape) - len(shape_of(x.source)))
    if not isinstance(x, Value):
        return None
    declared = tensors.declared_of(x)
    if declared is not None:
        return range_of(tensors, declared)
    if tensors.is_a(x, "count"):
        return Range(0, 0)
    return None if x.path else _of_step(tensors, x)


def _of_step(tensors: Tensors, x: Value) -> Range | None:
    """Return the range of a declared value, derived from the operands of its step; None if it is not known."""
    key, operands = x.step.key, x.step.operands
    if x.step.fill is not None:
        return Range(int(x.step.fill), None)
    if key == "+":
        left, right = (range_of(tensors, item) for item in operands)
        if left is None or right is None or (left.axis is not None and right.axis is not None):
            return None
        axes = [
            range_.axis + len(shape_of(x)) - len(shape_of(item))
            for range_, item in zip((left, right), operands, strict=True)
            if range_.axis is not None
        ]
        return Range(left.first + right.first, axes[0] if axes else None)
    if key not in (basic.cast, basic.broadcast_to, *_RESHAPES) and not isinstance(key, Index):
        return None
    inner = range_of(tensors, operands[0])
    if inner is None or inner.axis is None or key is basic.cast:
        return inner
    own = shape_of(operands[0])
    if key is basic.broadcast_to:
        return _with_leading_axes(inner, len(shape_of(x)) - len(own))
    if isinstance(key, Index):
        return _part(inner, key.index, own)
    long, places = ([place for place, dim in enumerate(shape) if dim != 1] for shape in (own, shape_of(x)))
    if [own[place] for place in long] != [shape_of(x)[place] for place in places] or inner.axis not in long:
        return None
    return replace(inner, axis=places[long.index(inner.axis)])


def _with_leading_axes(range_: Range | None, axes: int) -> Range | None:
    """Return the range of an array after ``axes`` leading axes were added. None stays None."""
    return range_ if range_ is None or range_.axis is None else replace(range_, axis=range_.axis + axes)


def _part(range_: Range, index: tuple[Any, ...], own: tuple[Dim, ...]) -> Range | None:
    """Return ``x[index]`` as a range, for a range x of shape ``own``; None if the index has an integer or a step."""
    assert range_.axis is not None
    if any(not isinstance(entry, slice) or entry.step not in (None, 1) for entry in index):
        return None
    entry = index[range_.axis] if range_.axis < len(index) else slice(None)
    start = entry.start or 0
    return replace(range_, first=range_.first + (start if start >= 0 else own[range_.axis] + start))


def _of_known(x: Known) -> Range | None:
    """Return integers as a range; None if they are neither equal nor consecutive along one axis, or if x is empty."""
    flat = x.array.reshape(-1)
    if x.is_symbolic:
        is_size = flat.size == 1 and isinstance(flat[0], Size)
        return Range(flat[0], None) if is_size else None
    if not flat.size or x.array.dtype.kind not in "iu":
        return None
    first = int(flat[0])
    if (flat == first).all():
        return Range(first, None)
    for axis, size in enumerate(x.array.shape):
        line = np.arange(first, first + size).reshape([-1 if place == axis else 1 for place in range(x.array.ndim)])
        if (x.array == line).all():
            return Range(first, axis)
    return None


def parts_of(tensors: Tensors, x: Operand) -> list[Operand] | None:
    """Return the entries of x along its last axis, each without that axis; None if they are not available separately.

    The entries are available for a known x, an axis of size 1, a stack, and a concatenation of arrays of size 1.
    """
    *ahead, count = shape_of(x)
    if isinstance(count, int) and (count == 1 or isinstance(x, Known)):
        return [tensors.index(x, [*[slice(None)] * len(ahead), entry]) for entry in range(count)]
    note = tensors.note(x) if isinstance(x, Value) else None
    if note is None or note.by != len(ahead) or note.kind not in ("stack", "concat"):
        return None
    if note.kind == "stack":
        return list(note.parts)
    parts = [part for part in note.parts if shape_of(part)[-1] == 1]
    return [tensors.reshape(part, ahead) for part in parts] if len(parts) == count == len(note.parts) else None
