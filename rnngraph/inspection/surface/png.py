"""Surface that makes a PNG with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from ...support.errors import MissingExtraError
from .surface import POINT, Commands, Paint, Point

DOTS = 144
"""Dots an inch; a drawing has 96 pixels an inch."""
MAX_DOTS = 20_000
"""Maximum dots of a side; larger drawings are coarser."""
_ALIGNMENTS = {None: "left", "start": "left", "middle": "center", "end": "right"}


class PngSurface:
    """Image of ``width`` by ``height`` pixels. Raises ``MissingExtraError`` without matplotlib."""

    def __init__(self, width: float, height: float) -> None:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            what = "a picture as .png needs matplotlib; pip install matplotlib, or write .svg"
            raise MissingExtraError(what) from None
        dots = min(DOTS, int(MAX_DOTS * 96 / max(width, height)))
        self._figure = Figure(figsize=(width / 96, height / 96), dpi=dots, facecolor="white")
        self._axes: Any = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set(xlim=(0, width), ylim=(height, 0))
        self._axes.set_axis_off()
        self._count = 0

    def bytes(self) -> bytes:
        """Return the PNG file."""
        data = io.BytesIO()
        self._figure.savefig(data, format="png")
        return data.getvalue()

    def rectangle(self, x: float, y: float, width: float, height: float, paint: Paint, radius: float = 0) -> None:
        from matplotlib.patches import FancyBboxPatch

        self._patch(FancyBboxPatch((x, y), width, height, f"round,pad=0,rounding_size={radius}"), paint)

    def text(self, x: float, y: float, text: str, paint: Paint, anchor: str | None = None) -> None:
        self._axes.text(
            x,
            y,
            text,
            color=paint.fill,
            fontsize=POINT * paint.size,
            family=paint.family,
            weight="bold" if paint.is_bold else "normal",
            ha=_ALIGNMENTS[anchor],
            va="baseline",
            parse_math=False,
            zorder=self._order(),
        )

    def segment(self, start: Point, end: Point, paint: Paint) -> None:
        look = {"color": paint.line, "linewidth": POINT * paint.width, "zorder": self._order()}
        self._axes.plot((start[0], end[0]), (start[1], end[1]), **look)

    def path(self, commands: Commands, paint: Paint) -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        codes = {"M": Path.MOVETO, "L": Path.LINETO, "Q": Path.CURVE3, "C": Path.CURVE4}
        points = [point for _, some in commands for point in some]
        path = Path(points, [codes[letter] for letter, some in commands for _ in some])
        self._patch(PathPatch(path), paint)

    def polygon(self, points: Sequence[Point], paint: Paint) -> None:
        from matplotlib.patches import Polygon

        self._patch(Polygon(points), paint)

    def disk(self, x: float, y: float, radius: float, paint: Paint, title: str) -> None:
        from matplotlib.patches import Circle

        self._patch(Circle((x, y), radius), paint)

    def _patch(self, patch: Any, paint: Paint) -> None:
        """Add a shape of matplotlib to the image, with the colours and lines of ``paint``."""
        patch.set(
            facecolor=paint.fill or "none",
            edgecolor=paint.line or "none",
            alpha=paint.opacity,
            linewidth=POINT * paint.width if paint.line else 0,
            linestyle=(0, (4, 3)) if paint.is_dashed else "solid",
            zorder=self._order(),
        )
        self._axes.add_patch(patch)

    def _order(self) -> int:
        """Return the z-order that draws the next shape above all earlier shapes."""
        self._count += 1
        return self._count
