"""Drawings as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..surface.svg import SvgSurface, plain
from .painting import paint_shapes
from .palette import BOLD, COLOURS, DARK, DARK_INKS, INKS, LINE_WIDTHS, MONOSPACE, SIZES
from .shapes import Drawing, Figure, Line, Shape


def style_text(dark: str | None = None) -> str:
    """Return the CSS of pictures, dark for the selector ``dark``. Without it, the reader's system decides."""
    light = _rules(COLOURS, INKS, ".rg-net ")
    shared = [f".rg-net text {{ font: 12px {MONOSPACE}; }}"]
    shared += [f".rg-net .{name} {{ font-size: {size}px; }}" for name, size in SIZES.items()]
    shared += [f".rg-net .{name} {{ font-weight: 600; }}" for name in sorted(BOLD)]
    shared += [
        f".rg-net rect {{ stroke-width: {LINE_WIDTHS['box']}; }} .rg-net rect.wrapper {{ stroke-dasharray: 4 3; }}",
        f".rg-net path {{ fill: none; stroke-width: {LINE_WIDTHS['arrow']}; }} "
        f".rg-net path.loop {{ stroke-width: {LINE_WIDTHS['loop']}; }}",
    ]
    night = _rules(DARK, DARK_INKS, f"{dark} .rg-net " if dark else ".rg-net ")
    within = night if dark else ["@media (prefers-color-scheme: dark) {", *night, "}"]
    return "\n".join([*shared, *light, *within])


def _rules(boxes: dict[str, tuple[str, str]], inks: dict[str, str], scope: str) -> Iterator[str]:
    # labels can be read where an arrow runs behind them
    """Yield the CSS rules that give boxes and texts these colours."""
    yield f"{scope}.arrow .label {{ stroke: {boxes['ground'][0]}; stroke-width: 3px; paint-order: stroke; }}"
    for name, (fill, line) in boxes.items():
        yield f"{scope}rect.{name} {{ fill: {fill}; stroke: {line}; }}"
    for name, ink in inks.items():
        if name in ("arrow", "loop"):
            yield f"{scope}path.{name} {{ stroke: {ink}; }} {scope}polygon.{name} {{ fill: {ink}; }}"
        else:
            yield f"{scope}text.{name} {{ fill: {ink}; }}"


def svg_text(drawing: Drawing, styled: bool = True) -> str:
    """Return a drawing as an ``<svg>`` element.

    ``styled`` adds a background and the style sheet, which a page may have once for all pictures.
    """
    width, height = f"{drawing.width:.0f}", f"{drawing.height:.0f}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="rg-net" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="group" aria-label="{plain(drawing.label)}">'
    ]
    if styled:
        lines.append(f"<style>{style_text()}</style>")
        # viewers have backgrounds of any colour
        lines.append(f'<rect class="ground" width="{width}" height="{height}"/>')
    for figure in drawing.figures:
        lines += _figure(figure)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _figure(figure: Figure) -> Iterator[str]:
    """Yield the SVG lines of one box or arrow, with data attributes for the page's script."""
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


def _shapes(shapes: Sequence[Shape]) -> list[str]:
    surface = SvgSurface()
    paint_shapes(surface, shapes)
    return surface.lines
