"""Axis maps: how an axis of an operand corresponds to the axes of an op's result.

A position is an index along one axis. An element of the result depends on an element of an operand only if the maps of
all axes of the operand allow it. Sizes may be symbolic, so that each map is valid for all sizes.
"""

from __future__ import annotations

from typing import Literal

from ..support.records import dataclass
from .types import Dim


@dataclass(frozen=True)
class Kept:
    """Unchanged axis: position i of the result's ``axis`` reads position i."""

    axis: int


@dataclass(frozen=True)
class Spread:
    """Broadcast axis of size 1: all positions of the result's ``axis`` read position 0."""

    axis: int


@dataclass(frozen=True)
class Dropped:
    """Axis of size 1 that the result lacks. The whole result reads position 0."""


@dataclass(frozen=True)
class Merged:
    """Axis that a reshape merges with others or splits. ``axes`` are the axes of the result to which it maps.

    If ``axes`` are flattened in row-major order, position i of the flat axis reads position ``i // inner``, modulo the
    operand's size. ``outer`` is how often the positions of the operand's axis are repeated along the flat axis.
    """

    axes: tuple[int, ...]
    outer: Dim
    inner: Dim


@dataclass(frozen=True)
class Shifted:
    """Windowed axis: position i of the result's ``axis`` reads ``size`` positions with a ``dilation``.

    The window starts at ``start + step * i``.
    """

    axis: int
    start: Dim
    step: int
    size: int = 1
    dilation: int = 1


@dataclass(frozen=True)
class Overlapped:
    """Axis of windows in an overlap-add, summed into the result's ``axis``."""

    axis: int


@dataclass(frozen=True)
class Reduced:
    """Reduced axis, by a sum, a maximum or a minimum (``extreme``).

    Axes of one node with the same ``number`` are reduced together, as in a contraction. If they are split into blocks,
    the results of the blocks are combined by the same reduction.
    """

    by: Literal["sum", "extreme"]
    number: int


@dataclass(frozen=True)
class Indexed:
    """Axis that another operand indexes."""


@dataclass(frozen=True)
class Mixed:
    """Axis of which any position may affect any position of the result."""


@dataclass(frozen=True)
class Bound:
    """Axis of a scan's operand. In the body, it is ``axis`` of the input with index ``number``."""

    number: int
    axis: int


Fate = Kept | Spread | Dropped | Merged | Shifted | Overlapped | Reduced | Indexed | Mixed | Bound

MIXED, DROPPED, INDEXED = Mixed(), Dropped(), Indexed()
