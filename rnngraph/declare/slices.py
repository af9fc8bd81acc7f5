"""Ints and slices of an index, beside the size of an axis that may be open."""

from __future__ import annotations

import numpy as np

from ..errors import DtypeError, ShapeError, Where, shown
from ..ir.attributes import MOST_DIVISOR
from ..ir.types import Dim


def position_of(index: int, dim: Dim, where: Where | None) -> Dim:
    if isinstance(dim, int) and not -dim <= index < dim:
        raise ShapeError(f"index {index} is outside an axis of {dim}", where)
    return index if index >= 0 else dim + index


def bounds_of(item: slice, dim: Dim, where: Where | None) -> tuple[Dim, Dim, int]:
    """Where a slice begins and ends, and its step. Where that is negative, in the axis turned round."""
    for part in (item.start, item.stop, item.step):
        if part is not None and not isinstance(part, int | np.integer):
            raise DtypeError(f"a slice needs ints, not {shown(part)}", where)
    step = 1 if item.step is None else int(item.step)
    if step == 0:
        raise ShapeError("a slice's step can't be 0", where)
    if abs(step) > MOST_DIVISOR:
        raise ShapeError(f"a slice with step {step}; the step must lie within -{MOST_DIVISOR}..{MOST_DIVISOR}", where)
    if isinstance(dim, int):
        start, stop, step = item.indices(dim)
        if step > 0:
            return start, max(start, stop), step
        return dim - 1 - start, dim - 1 - min(stop, start), step
    first = position_of(int(item.start), dim, where) if item.start is not None else None
    last = position_of(int(item.stop), dim, where) if item.stop is not None else None
    if step < 0:  # positions from the end
        first, last = (None if position is None else dim - 1 - position for position in (first, last))
    return 0 if first is None else first, dim if last is None else last, step
