"""Shapes of a drawing: rectangles, lines of text and polylines, in figures."""

from __future__ import annotations

from dataclasses import dataclass

from .boxes import Box

CHARACTER, SMALL, LINE = 7.3, 6.7, 17.0
"""Pixels of a character of text (12 px) and of small text (11 px), and of a line's height."""


@dataclass(frozen=True)
class Rectangle:
    """Rectangle, in the style of its kind of box, or ``dropout``."""

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
    """A polyline in the style ``arrow``, or ``loop`` with round corners. ``headed``: with an arrow head."""

    points: tuple[tuple[float, float], ...]
    style: str
    headed: bool = True


Shape = Rectangle | Text | Line


@dataclass(frozen=True)
class Figure:
    """A box with its texts, or an arrow.

    ``source`` and ``target`` are keys of an arrow's boxes. ``closed`` is the box without contents, at the same place.
    """

    graph: str
    shapes: tuple[Shape, ...]
    box: Box | None = None
    source: str = ""
    target: str = ""
    closed: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """Figures in drawing order, background first."""

    figures: tuple[Figure, ...]
    width: float
    height: float
    label: str
