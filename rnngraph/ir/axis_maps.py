"""Axis maps: how an axis of an operand corresponds to the axes of an op's result.

A position is an index along one axis. An entry of the result depends on an entry of an operand only if the maps of all
axes of the operand allow the dependence. Sizes may be symbolic, so each map holds for all sizes.
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
    """Axis that a reshape merges or splits. In ``axes`` of the result, it lies between ``outer`` and ``inner``.

    Flatten ``axes`` of the result in row-major order. Position i of the flat axis reads position ``i // inner``, modulo
    the operand's size.
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

    Axes of one node with the same ``number`` are reduced in lockstep, as in a contraction. Split into blocks along
    these axes, the results combine by the same reduction.
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
    """Axis of a scan's operand, which is ``axis`` of input ``number`` of the body."""

    number: int
    axis: int


Fate = Kept | Spread | Dropped | Merged | Shifted | Overlapped | Reduced | Indexed | Mixed | Bound

MIXED, DROPPED, INDEXED = Mixed(), Dropped(), Indexed()
