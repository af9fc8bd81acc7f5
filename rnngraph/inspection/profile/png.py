"""A profile's picture as PNG, by matplotlib."""

from __future__ import annotations

import io
from typing import Any

from ...support.errors import MissingExtraError
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
        raise MissingExtraError("a picture as .png needs matplotlib; pip install matplotlib, or write .svg") from None
    dots = min(DOTS, int(MOST_DOTS * 96 / picture.height))
    figure = Figure(figsize=(WIDTH / 96, picture.height / 96), dpi=dots, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(picture.height, 0))
    axes.set_axis_off()
    for number, mark in enumerate(picture.marks):
        _draw(axes, mark, number)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _draw(axes: Any, mark: Mark, order: int) -> None:
    """order: marks of higher ones lie above, of whatever kind."""
    from matplotlib.patches import Circle, Rectangle

    look: dict[str, Any]
    if isinstance(mark, Text):
        axes.text(
            mark.x, mark.y, mark.text, color=mark.colour, fontsize=9, ha=ALIGNED[mark.anchor], va="baseline",
            parse_math=False, zorder=order,
        )  # fmt: skip
    elif isinstance(mark, Line):
        look = {"color": mark.colour, "linewidth": 0.75 * mark.width, "zorder": order}
        axes.plot((mark.x, mark.to_x), (mark.y, mark.to_y), **look)
    elif isinstance(mark, Dot):
        look = {"facecolor": mark.colour, "alpha": OPACITY, "linewidth": 0, "zorder": order}
        axes.add_patch(Circle((mark.x, mark.y), mark.radius, **look))
    elif isinstance(mark, Bar):
        look = {"facecolor": mark.colour, "alpha": mark.opacity, "linewidth": 0, "zorder": order}
        axes.add_patch(Rectangle((MARGIN, mark.y), mark.width, BAR - GAP, **look))
