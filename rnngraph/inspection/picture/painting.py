"""Paints the shapes of a picture on a surface."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from ..surface.surface import Commands, Paint, Point, Surface
from .palette import BOLD, COLOURS, INKS, LINE_WIDTHS, SIZES
from .shapes import Line, Rectangle, Shape, Text

CORNER = 9.0
"""Radius of arrows' corners, in pixels."""


def paint_shapes(surface: Surface, shapes: Iterable[Shape]) -> None:
    """Paint rectangles, texts and lines on a surface, in order."""
    for shape in shapes:
        if isinstance(shape, Rectangle):
            radius = 3 if shape.style == "dropout" else 6
            place = float(shape.x), float(shape.y), float(shape.width), float(shape.height)
            surface.rectangle(*place, _box_paint(shape.style), radius)
        elif isinstance(shape, Text):
            size, is_bold = SIZES.get(shape.style, 12), shape.style in BOLD
            paint = Paint(shape.style, INKS[shape.style], size=size, family="monospace", is_bold=is_bold)
            surface.text(float(shape.x), float(shape.y), shape.text, paint, "end" if shape.ends else None)
        else:
            ink, width = INKS[shape.style], LINE_WIDTHS.get(shape.style, LINE_WIDTHS["arrow"])
            surface.path(_commands(shape), Paint(shape.style, line=ink, width=width))
            if shape.headed:
                surface.polygon(_arrow_head(shape), Paint(shape.style, ink))


def _box_paint(style: str) -> Paint:
    fill, line = COLOURS[style]
    return Paint(style, fill, line, LINE_WIDTHS["box"], is_dashed=style == "wrapper")


def _commands(line: Line) -> Commands:
    """Return a line as path commands: with round corners for a recurrence, as curves between boxes."""
    points = line.points
    commands: list[tuple[str, Sequence[Point]]] = [("M", points[:1])]
    if line.style == "loop":
        for before, here, after in zip(points, points[1:], points[2:], strict=False):
            commands += [("L", [_towards(here, before)]), ("Q", [here, _towards(here, after)])]
        return [*commands, ("L", points[-1:])]
    for (x1, y1), (x2, y2) in pairwise(points):
        half = (y1 + y2) / 2
        commands.append(("C", [(x1, half), (x2, half), (x2, y2)]))
    return commands


def _towards(start: Point, end: Point) -> Point:
    """Return the point ``CORNER`` away from one point towards another, at most halfway."""
    x, y = end[0] - start[0], end[1] - start[1]
    share = min(0.5, CORNER / (abs(x) + abs(y))) if x or y else 0.0
    return start[0] + share * x, start[1] + share * y


def _arrow_head(line: Line) -> list[Point]:
    """Return the triangle at the end of a line: downward, or to the left if it returns to its box."""
    x, y = line.points[-1]
    if line.style == "loop":
        return [(x, y), (x + 8, y - 4), (x + 8, y + 4)]
    return [(x, y), (x - 4, y - 8), (x + 4, y - 8)]
