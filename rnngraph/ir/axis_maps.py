"""The vocabulary of axes: what becomes of an operand's axis in the result of an op.

Positions are those along one axis. An entry of the result depends on an entry of an operand only if every axis of the
operand lets it. Sizes may be open, so each statement holds for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .types import Dim


@dataclass(frozen=True, slots=True)
class Kept:
    """Position i of the result's ``axis`` reads position i."""

    axis: int


@dataclass(frozen=True, slots=True)
class Spread:
    """All positions of the result's ``axis`` read the only position."""

    axis: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """The only position is read by the whole result, which has no axis for it."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The axis lies in order on ``axes`` of the result, with ``outer`` positions around it and ``inner`` within.

    Positions of the result's axes count as those of one axis, the first axis outermost. Position i of that axis reads
    position ``i // inner``, modulo the operand's size.
    """

    axes: tuple[int, ...]
    outer: Dim
    inner: Dim


@dataclass(frozen=True, slots=True)
class Shifted:
    """Position i of the result's ``axis`` reads ``size`` positions, the first at ``start + step * i`` and the others
    ``dilation`` apart.
    """

    axis: int
    start: Dim
    step: int
    size: int = 1
    dilation: int = 1


@dataclass(frozen=True, slots=True)
class Overlapped:
    """Positions of windows are added up on the result's ``axis``, each where it was taken from."""

    axis: int


@dataclass(frozen=True, slots=True)
class Reduced:
    """All positions are reduced to one: added up, or the largest or smallest of them.

    number: axes of one node that have the same number are read together. The node over all positions is the sum, or
    the extreme, of nodes over parts of these axes.
    """

    by: Literal["sum", "extreme"]
    number: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """Values of another operand say which position is read."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """Any position of the result may read any position."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The axis is ``axis`` of an input of a scan's body, and goes on from there. number: of the input."""

    number: int
    axis: int


Fate = Kept | Spread | Dropped | Merged | Shifted | Overlapped | Reduced | Indexed | Mixed | Bound

MIXED, DROPPED, INDEXED = Mixed(), Dropped(), Indexed()
