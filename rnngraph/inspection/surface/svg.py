"""Surface that writes SVG. Texts of scripts and files are escaped, never markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from .surface import Commands, Paint, Point


def plain(text: str) -> str:
    """Return text for markup: escaped, without characters that XML lacks."""
    return escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


class SvgSurface:
    """Elements of an SVG in drawing order, as ``lines`` of text."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def rectangle(self, x: float, y: float, width: float, height: float, paint: Paint, radius: float = 0) -> None:
        facts = [("x", x), ("y", y), ("width", width), ("height", height), *([("rx", f"{radius:g}")] if radius else [])]
        self._add("rect", facts, _filled(paint), paint)

    def text(self, x: float, y: float, text: str, paint: Paint, anchor: str | None = None) -> None:
        facts = [("x", x), ("y", y), *([("text-anchor", anchor)] if anchor else [])]
        self._add("text", facts, [("fill", paint.fill)], paint, plain(text))

    def segment(self, start: Point, end: Point, paint: Paint) -> None:
        facts = [("x1", start[0]), ("y1", start[1]), ("x2", end[0]), ("y2", end[1])]
        self._add("line", facts, _drawn(paint), paint)

    def path(self, commands: Commands, paint: Paint) -> None:
        parts = (letter + " ".join(f"{x:.1f} {y:.1f}" for x, y in points) for letter, points in commands)
        self._add("path", [("d", "".join(parts))], [("fill", "none"), *_drawn(paint)], paint)

    def polygon(self, points: Sequence[Point], paint: Paint) -> None:
        self._add("polygon", [("points", " ".join(f"{x:.1f},{y:.1f}" for x, y in points))], _filled(paint), paint)

    def disk(self, x: float, y: float, radius: float, paint: Paint, title: str) -> None:
        facts = [("cx", x), ("cy", y), ("r", radius)]
        self._add("circle", facts, _filled(paint), paint, f"<title>{plain(title)}</title>")

    def _add(
        self,
        tag: str,
        facts: Sequence[tuple[str, object]],
        look: Sequence[tuple[str, object]],
        paint: Paint,
        inside: str = "",
    ) -> None:
        """Add an SVG element with attributes ``facts``, and ``look`` unless ``paint`` names a style class."""
        attributes = [("class", paint.name), *facts] if paint.name else [*facts, *look]
        text = " ".join(f'{name}="{_number(value)}"' for name, value in attributes)
        self.lines.append(f"<{tag} {text}>{inside}</{tag}>" if inside else f"<{tag} {text}/>")


def _filled(paint: Paint) -> list[tuple[str, object]]:
    return [("fill", paint.fill), *([] if paint.opacity == 1 else [("fill-opacity", str(paint.opacity))])]


def _drawn(paint: Paint) -> list[tuple[str, object]]:
    return [("stroke", paint.line), ("stroke-width", str(paint.width))]


def _number(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
