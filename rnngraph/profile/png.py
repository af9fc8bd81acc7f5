"""A profile's picture as PNG, by matplotlib."""

from __future__ import annotations

import io
from typing import Any

from ..errors import MissingExtraError
from .picture import BAR, GAP, MARGIN, OPACITY, WIDTH, Bar, Dot, Line, Mark, Picture, Text

DOTS = 144
"""Dots an inch; a pixel of the picture is a ninety-sixth of an inch."""

MOST_DOTS = 20_000
"""Of a side; higher pictures are made coarser."""

ALIGNED = {"start": "left", "middle": "center", "end": "right"}


def png_of(picture: Picture) -> bytes:
    """Raises ``MissingExtraError`` without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "a picture as .png needs matplotlib; pip install 'rnngraph[plot]', or write .svg"
        ) from None
    dots = min(DOTS, int(MOST_DOTS * 96 / picture.height))
    figure = Figure(figsize=(WIDTH / 96, picture.height / 96), dpi=dots, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(picture.height, 0))
    axes.set_axis_off()
    for mark in picture.marks:
        _draw(axes, mark)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _draw(axes: Any, mark: Mark) -> None:
    from matplotlib.patches import Circle, Rectangle

    if isinstance(mark, Text):
        axes.text(
            mark.x, mark.y, mark.text, color=mark.colour, fontsize=9, ha=ALIGNED[mark.anchor], va="baseline",
            parse_math=False,
        )  # fmt: skip
    elif isinstance(mark, Line):
        axes.plot((mark.x, mark.to_x), (mark.y, mark.to_y), color=mark.colour, linewidth=0.75 * mark.width)
    elif isinstance(mark, Dot):
        axes.add_patch(Circle((mark.x, mark.y), mark.radius, facecolor=mark.colour, alpha=OPACITY, linewidth=0))
    elif isinstance(mark, Bar):
        place = MARGIN, mark.y
        axes.add_patch(Rectangle(place, mark.width, BAR - GAP, facecolor=mark.colour, alpha=mark.opacity, linewidth=0))
