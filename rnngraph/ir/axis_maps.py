"""Axis maps: how an axis of an operand maps to the axes of an op's result.

A position is an index along one axis. An entry of the result depends on an entry of an operand only if the maps of all
axes of the operand allow the dependence. Sizes may be symbolic, so each map holds for all sizes.
"""

from __future__ import annotations

from typing import Literal

from ..support.records import dataclass
from .types import Dim


@dataclass(frozen=True)
class Kept:
    """Position i of the result's ``axis`` reads position i."""

    axis: int


@dataclass(frozen=True)
class Spread:
    """All positions of the result's ``axis`` read position 0: a broadcast axis of size 1."""

    axis: int


@dataclass(frozen=True)
class Dropped:
    """An axis of size 1 that the result does not have. The whole result reads position 0."""


@dataclass(frozen=True)
class Merged:
    """A reshape maps the axis to ``axes`` of the result, between ``outer`` and ``inner`` positions of other axes.

    Flatten ``axes`` of the result in row-major order. Position i of the flat axis reads position ``i // inner``, modulo
    the operand's size.
    """

    axes: tuple[int, ...]
    outer: Dim
    inner: Dim


@dataclass(frozen=True)
class Shifted:
    """Position i of the result's ``axis`` reads a window of ``size`` positions with the given ``dilation``.

    The window starts at ``start + step * i``.
    """

    axis: int
    start: Dim
    step: int
    size: int = 1
    dilation: int = 1


@dataclass(frozen=True)
class Overlapped:
    """An overlap-add: positions of windows are summed into the result's ``axis`` at the position they came from."""

    axis: int


@dataclass(frozen=True)
class Reduced:
    """A reduction over all positions: a sum, or a maximum or minimum (``extreme``).

    Axes of one node with the same ``number`` are reduced in lockstep, as in a contraction. Split into blocks along
    these axes, the results combine by the same reduction.
    """

    by: Literal["sum", "extreme"]
    number: int


@dataclass(frozen=True)
class Indexed:
    """Another operand holds the indices of the positions to read."""


@dataclass(frozen=True)
class Mixed:
    """Any position of the result may read any position of the operand."""


@dataclass(frozen=True)
class Bound:
    """The axis continues as ``axis`` of input ``number`` of a scan's body."""

    number: int
    axis: int


Fate = Kept | Spread | Dropped | Merged | Shifted | Overlapped | Reduced | Indexed | Mixed | Bound

MIXED, DROPPED, INDEXED = Mixed(), Dropped(), Indexed()
