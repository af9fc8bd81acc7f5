"""Protocol of surfaces, and the look of shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Point = tuple[float, float]
Commands = Sequence[tuple[str, Sequence[Point]]]
"""A path of SVG commands (M, L, Q and C, all absolute) with their points."""

POINT = 0.75
"""Typographic points in a pixel."""


@dataclass(frozen=True)
class Paint:
    """Look of a shape.

    Args:
        name: Class in the SVG's style sheet, which then defines the rest.
        fill, line: Colours.
        width: Width of lines, in pixels.
        size, family: Font of text.
    """

    name: str = ""
    fill: str | None = None
    line: str | None = None
    width: float = 1.0
    is_dashed: bool = False
    opacity: float = 1.0
    size: float = 12.0
    family: str = "sans-serif"
    is_bold: bool = False


class Surface(Protocol):
    """Destination of shapes, background first. Coordinates are pixels, with y downward."""

    def rectangle(self, x: float, y: float, width: float, height: float, paint: Paint, radius: float = 0) -> None: ...

    def text(self, x: float, y: float, text: str, paint: Paint, anchor: str | None = None) -> None:
        """Draw one line of text. ``anchor`` is the part of its baseline at (x, y), as in SVG; None: the start."""

    def segment(self, start: Point, end: Point, paint: Paint) -> None:
        """Draw a straight line."""

    def path(self, commands: Commands, paint: Paint) -> None: ...

    def polygon(self, points: Sequence[Point], paint: Paint) -> None: ...

    def disk(self, x: float, y: float, radius: float, paint: Paint, title: str) -> None:
        """Draw a disk, whose title is shown under the pointer."""
