"""What can be drawn, and how it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Point = tuple[float, float]
Commands = Sequence[tuple[str, Sequence[Point]]]
"""A path: commands of SVG (M, L, Q and C, all absolute) with their points."""

POINT = 0.75
"""Typographic points in a pixel."""


@dataclass(frozen=True)
class Paint:
    """Look of a shape.

    name: class of the SVG's style sheet, which then says all else. fill, line: colours. width: of lines, in pixels.
    size, family: of text.
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
    """What shapes are drawn on, those behind first. Places and sizes are pixels, with y downward."""

    def rectangle(self, x: float, y: float, width: float, height: float, paint: Paint, radius: float = 0) -> None: ...

    def text(self, x: float, y: float, text: str, paint: Paint, anchor: str | None = None) -> None:
        """Draw one line. anchor: which part of its baseline is at the place, as SVG calls it; None: the start."""

    def segment(self, start: Point, end: Point, paint: Paint) -> None:
        """Draw a straight line."""

    def path(self, commands: Commands, paint: Paint) -> None: ...

    def polygon(self, points: Sequence[Point], paint: Paint) -> None: ...

    def disk(self, x: float, y: float, radius: float, paint: Paint, title: str) -> None:
        """Draw a disk. title: shown where one points at it."""
