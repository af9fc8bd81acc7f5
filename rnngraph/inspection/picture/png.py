"""A drawing as PNG, by matplotlib."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

from ...support.errors import MissingExtraError
from .shapes import Drawing, Line, Rectangle, Shape, Text
from .svg import BOLD, COLOURS, INKS, SIZES, arrow_head

DOTS = 144
"""Dots an inch; a pixel of the drawing is a ninety-sixth of an inch."""

MOST_DOTS = 20_000
"""Of a side; larger drawings are made coarser."""


def png_bytes(drawing: Drawing) -> bytes:
    """Raises ``MissingExtraError`` without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("a picture as .png needs matplotlib; pip install matplotlib, or write .svg") from None
    dots = min(DOTS, int(MOST_DOTS * 96 / max(drawing.width, drawing.height)))
    figure = Figure(figsize=(drawing.width / 96, drawing.height / 96), dpi=dots, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, drawing.width), ylim=(drawing.height, 0))
    axes.set_axis_off()
    for item in drawing.figures:
        for shape in item.shapes:
            _draw(axes, shape)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _draw(axes: Any, shape: Shape) -> None:
    from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon

    if isinstance(shape, Rectangle):
        fill, line = COLOURS[shape.style]
        corner = f"round,pad=0,rounding_size={3 if shape.style == 'dropout' else 6}"
        dashes = (0, (4, 3)) if shape.style == "wrapper" else "solid"
        place = (shape.x, shape.y)
        axes.add_patch(FancyBboxPatch(
            place, shape.width, shape.height, corner, facecolor=fill, edgecolor=line, linewidth=0.9, linestyle=dashes
        ))  # fmt: skip
    elif isinstance(shape, Text):
        axes.text(
            shape.x, shape.y, shape.text, color=INKS[shape.style], fontsize=SIZES.get(shape.style, 12) * 0.75,
            family="monospace", weight="bold" if shape.style in BOLD else "normal",
            ha="right" if shape.ends else "left", va="baseline", parse_math=False,
        )  # fmt: skip
    else:
        ink, width = INKS[shape.style], 1.4 if shape.style == "loop" else 1.0
        axes.add_patch(PathPatch(_path(shape), fill=False, edgecolor=ink, linewidth=width))
        if shape.headed:
            axes.add_patch(Polygon(arrow_head(shape), facecolor=ink, linewidth=0))


def _path(line: Line) -> Any:
    from matplotlib.path import Path

    points = line.points
    if line.style == "loop":
        return Path(points)
    corners, codes = [points[0]], [Path.MOVETO]
    for (x1, y1), (x2, y2) in pairwise(points):
        half = (y1 + y2) / 2
        corners += [(x1, half), (x2, half), (x2, y2)]
        codes += [Path.CURVE4] * 3
    return Path(corners, codes)
