"""What a drawing is made of: rectangles, lines of text and polylines at their places, in figures."""

from __future__ import annotations

from dataclasses import dataclass

from .boxes import Box

CHARACTER, SMALL, LINE = 7.3, 6.7, 17.0
"""Pixels: widths of a character of text and of small text, of fonts of 12 and 11 pixels, and height of a line."""


@dataclass(frozen=True)
class Rectangle:
    """style: the kind of its box, or ``dropout``."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True)
class Text:
    """One line of text, whose baseline begins at (x, y), or ends there."""

    x: float
    y: float
    text: str
    style: str
    ends: bool = False


@dataclass(frozen=True)
class Line:
    """A polyline. style: ``arrow``, or ``loop`` with round corners. headed: whether an arrow head is at its end."""

    points: tuple[tuple[float, float], ...]
    style: str
    headed: bool = True


Shape = Rectangle | Text | Line


@dataclass(frozen=True)
class Figure:
    """What belongs together: a box with its texts, or an arrow.

    source, target: keys of an arrow's boxes. closed: the box without what is in it, at the same place, where it can be
    closed.
    """

    graph: str
    shapes: tuple[Shape, ...]
    box: Box | None = None
    source: str = ""
    target: str = ""
    closed: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """Figures in the order in which they are drawn, those behind first."""

    figures: tuple[Figure, ...]
    width: float
    height: float
    label: str
