"""A drawing as SVG. Texts of scripts and files are escaped, and never markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from .shapes import Drawing, Figure, Line, Rectangle, Shape, Text

COLOURS = {
    "input": ("#e8f1fb", "#4a7fb5"), "output": ("#e6f4ea", "#3f8f5b"), "loss": ("#fdeceb", "#b5504a"),
    "layer": ("#f6f6f4", "#8b8b86"), "driver": ("#f1eefb", "#7a68b3"), "stack": ("#f1eefb", "#7a68b3"),
    "wrapper": ("#fdf6e6", "#b58a3f"), "cell": ("#ffffff", "#7a68b3"), "dropout": ("#ffd9a8", "#c86f12"),
    "ground": ("#ffffff", "none"),
}  # fmt: skip
"""(fill, line) of each kind of box, and of what is behind them, by day."""

DARK = {
    "input": ("#16283a", "#6ea3d8"), "output": ("#15301f", "#6cbf8a"), "loss": ("#3a1a18", "#e08a84"),
    "layer": ("#2a2a28", "#8f8f8a"), "driver": ("#231f35", "#9d8cd6"), "stack": ("#231f35", "#9d8cd6"),
    "wrapper": ("#332a15", "#d3a95c"), "cell": ("#1a1a22", "#9d8cd6"), "dropout": ("#5a3a10", "#f0a64a"),
    "ground": ("#17171a", "none"),
}  # fmt: skip

INKS = {
    "heading": "#1c1c1a", "title": "#1c1c1a", "equation": "#1c1c1a", "dropped": "#6b3600", "note": "#5c5c57",
    "label": "#3d6187", "state": "#6a4fb0", "arrow": "#77776f", "loop": "#7a52c7",
}  # fmt: skip
DARK_INKS = {
    "heading": "#ecece8", "title": "#ecece8", "equation": "#ecece8", "dropped": "#ffd9a8", "note": "#a5a59e",
    "label": "#8db8e4", "state": "#b9a4f2", "arrow": "#8f8f88", "loop": "#b08cf5",
}  # fmt: skip

MONOSPACE = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
SIZES = {"heading": 15, "label": 11, "state": 11, "note": 11}
BOLD = frozenset(("heading", "title"))
CORNER = 9.0
"""Pixels by which corners of arrows are cut."""


def plain(text: str) -> str:
    """Text for markup: escaped, and without characters that XML does not have."""
    return escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


def style_text(dark: str | None = None) -> str:
    """The style sheet of pictures: light, and dark within the selector ``dark``; None: where the reader's system is."""
    light = _rules(COLOURS, INKS, ".rg-net ")
    shared = [f".rg-net text {{ font: 12px {MONOSPACE}; }}"]
    shared += [f".rg-net .{name} {{ font-size: {size}px; }}" for name, size in SIZES.items()]
    shared += [f".rg-net .{name} {{ font-weight: 600; }}" for name in sorted(BOLD)]
    shared += [
        ".rg-net rect { stroke-width: 1.2; } .rg-net rect.wrapper { stroke-dasharray: 4 3; }",
        ".rg-net path { fill: none; stroke-width: 1.3; } .rg-net path.loop { stroke-width: 1.8; }",
    ]
    night = _rules(DARK, DARK_INKS, f"{dark} .rg-net " if dark else ".rg-net ")
    within = night if dark else ["@media (prefers-color-scheme: dark) {", *night, "}"]
    return "\n".join([*shared, *light, *within])


def _rules(boxes: dict[str, tuple[str, str]], inks: dict[str, str], scope: str) -> Iterator[str]:
    for name, (fill, line) in boxes.items():
        yield f"{scope}rect.{name} {{ fill: {fill}; stroke: {line}; }}"
    for name, ink in inks.items():
        if name in ("arrow", "loop"):
            yield f"{scope}path.{name} {{ stroke: {ink}; }} {scope}polygon.{name} {{ fill: {ink}; }}"
        else:
            yield f"{scope}text.{name} {{ fill: {ink}; }}"


def svg_text(drawing: Drawing, styled: bool = True) -> str:
    """The drawing as an ``<svg>``. styled: with its style sheet, which a page may have once for all."""
    width, height = f"{drawing.width:.0f}", f"{drawing.height:.0f}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="rg-net" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="group" aria-label="{plain(drawing.label)}">'
    ]
    if styled:
        lines.append(f"<style>{style_text()}</style>")
        lines.append(f'<rect class="ground" width="{width}" height="{height}"/>')  # viewers have one of any colour
    for figure in drawing.figures:
        lines += _figure(figure)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _figure(figure: Figure) -> Iterator[str]:
    box = figure.box
    facts = f' class="figure" data-graph="{figure.graph}"'
    if box is not None:
        numbers = " ".join(dict.fromkeys(f"{where.line}" for where in box.wheres))
        title = ", ".join(box.titles) or box.kind
        facts = (
            f' class="figure box" data-graph="{figure.graph}" data-box="{plain(box.key)}" data-kind="{box.kind}" '
            f'data-lines="{numbers}" data-layer="{plain(box.layer)}" role="img" '
            f'aria-label="{plain(f"{box.kind}: {title}")}"'
        )
    elif figure.source:
        lines = [shape for shape in figure.shapes if isinstance(shape, Line)]
        points = " ".join(f"{x:.1f},{y:.1f}" for line in lines for x, y in line.points)
        facts = (
            f' class="figure arrow" data-source="{plain(figure.source)}" data-target="{plain(figure.target)}" '
            f'data-points="{points}"'
        )
    yield f"<g{facts}>"
    if box is not None and box.wheres:
        layer = f" · {box.layer}" if box.layer else ""
        yield f"<title>{plain(f'{box.wheres[0]}{layer}')}</title>"
    if figure.closed:
        yield from ('<g class="open">', *_shapes(figure.shapes), "</g>")
        yield from ('<g class="closed">', *_shapes(figure.closed), "</g>")
    else:
        yield from _shapes(figure.shapes)
    yield "</g>"


def _shapes(shapes: Sequence[Shape]) -> Iterator[str]:
    for shape in shapes:
        yield from _shape(shape)


def _shape(shape: Shape) -> Iterator[str]:
    if isinstance(shape, Rectangle):
        yield (
            f'<rect class="{shape.style}" x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
            f'height="{shape.height:.1f}" rx="{3 if shape.style == "dropout" else 6}"/>'
        )
    elif isinstance(shape, Text):
        end = ' text-anchor="end"' if shape.ends else ""
        yield f'<text class="{shape.style}" x="{shape.x:.1f}" y="{shape.y:.1f}"{end}>{plain(shape.text)}</text>'
    else:
        yield f'<path class="{shape.style}" d="{_path(shape)}"/>'
        if shape.headed:
            head = " ".join(f"{x:.1f},{y:.1f}" for x, y in arrow_head(shape))
            yield f'<polygon class="{shape.style}" points="{head}"/>'


def _path(line: Line) -> str:
    """Round corners where a line turns at right angles, long curves where it runs from box to box."""
    points = line.points
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    if line.style == "loop":
        for before, here, after in zip(points, points[1:], points[2:], strict=False):
            (x1, y1), (x2, y2) = _towards(here, before), _towards(here, after)
            parts.append(f"L{x1:.1f} {y1:.1f}Q{here[0]:.1f} {here[1]:.1f} {x2:.1f} {y2:.1f}")
        parts.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    else:
        for (x1, y1), (x2, y2) in pairwise(points):
            half = (y1 + y2) / 2
            parts.append(f"C{x1:.1f} {half:.1f} {x2:.1f} {half:.1f} {x2:.1f} {y2:.1f}")
    return "".join(parts)


def _towards(start: Sequence[float], end: Sequence[float]) -> tuple[float, float]:
    """The point by ``CORNER`` on the way from one point to another, half the way at most."""
    x, y = end[0] - start[0], end[1] - start[1]
    share = min(0.5, CORNER / (abs(x) + abs(y))) if x or y else 0.0
    return start[0] + share * x, start[1] + share * y


def arrow_head(line: Line) -> list[tuple[float, float]]:
    """The triangle at the end of a line: downward, or to the left where it returns to its box."""
    x, y = line.points[-1]
    if line.style == "loop":
        return [(x, y), (x + 8, y - 4), (x + 8, y + 4)]
    return [(x, y), (x - 4, y - 8), (x + 4, y - 8)]
