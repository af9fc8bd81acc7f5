"""Profile as a picture: the machine's roofline with a dot for each layer, and bars of layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..surface.png import PngSurface
from ..surface.surface import Paint, Surface
from ..surface.svg import SvgSurface
from .breakdown import Part
from .limits import Limits

WIDTH, ROOF, BAR, GAP, MARGIN = 760, 300, 22, 4, 56
"""Pixels of the picture's width, the roofline's height, a bar with its gap, the gap, and the margin."""
MAX_NAME = 100
"""Maximum characters beside a bar; names of layers differ most at their ends."""
OPACITY = 0.7
"""Opacity of dots, which may overlap."""
INTENSITY, RATE = (-3, 3), (-2, 3)
"""Ranges of the axes as powers of ten: operations a byte, and GFLOP/s."""
COLOURS = ("#3b6fb6", "#c4603a", "#4a9a5a", "#8a5fb0", "#b89a2a", "#4aa3a8", "#b04a7a", "#707070")


@dataclass(frozen=True)
class Text:
    """One line of text. ``anchor`` is the part of its baseline at (x, y), as in SVG."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    colour: str = "#333"


@dataclass(frozen=True)
class Line:
    """A straight line of ``width`` pixels."""

    x: float
    y: float
    to_x: float
    to_y: float
    colour: str
    width: float = 1.0


@dataclass(frozen=True)
class Dot:
    """A disk, whose title is shown under the pointer."""

    x: float
    y: float
    radius: float
    colour: str
    title: str


@dataclass(frozen=True)
class Bar:
    """A bar from the margin; ``y`` is of its upper edge."""

    y: float
    width: float
    colour: str
    opacity: float


Mark = Text | Line | Dot | Bar


@dataclass(frozen=True)
class Picture:
    """Marks in drawing order, ``WIDTH`` by ``height`` pixels."""

    marks: tuple[Mark, ...]
    height: int


def picture_of(layers: Sequence[Part], limits: Limits) -> Picture:
    """Return the picture of a profile's layers on a machine with these limits."""
    marks = (*_axes(), *_roofs(limits), *_dots(layers), *_bars(layers, ROOF + 2 * MARGIN))
    return Picture(marks, ROOF + BAR * len(layers) + 3 * MARGIN)


def svg_of(picture: Picture) -> str:
    surface = SvgSurface()
    _draw(surface, picture)
    size = f'width="{WIDTH}" height="{picture.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {picture.height}" {size} '
        'font-family="sans-serif" font-size="12">',
        f'<rect {size} fill="white"/>',
        *surface.lines,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def png_of(picture: Picture) -> bytes:
    """Return the picture as PNG. Raise ``MissingExtraError`` without matplotlib."""
    surface = PngSurface(WIDTH, picture.height)
    _draw(surface, picture)
    return surface.bytes()


def _draw(surface: Surface, picture: Picture) -> None:
    for mark in picture.marks:
        if isinstance(mark, Text):
            surface.text(float(mark.x), float(mark.y), mark.text, Paint(fill=mark.colour), mark.anchor)
        elif isinstance(mark, Line):
            ends = (float(mark.x), float(mark.y)), (float(mark.to_x), float(mark.to_y))
            surface.segment(*ends, Paint(line=mark.colour, width=mark.width))
        elif isinstance(mark, Dot):
            paint = Paint(fill=mark.colour, opacity=OPACITY)
            surface.disk(float(mark.x), float(mark.y), float(mark.radius), paint, mark.title)
        else:
            paint = Paint(fill=mark.colour, opacity=mark.opacity)
            surface.rectangle(MARGIN, float(mark.y), float(mark.width), BAR - GAP, paint)


def _x(intensity: float) -> float:
    low, high = INTENSITY
    place = (math.log10(max(intensity, 10.0**low)) - low) / (high - low)
    return MARGIN + min(1.0, place) * (WIDTH - 2 * MARGIN)


def _y(rate: float) -> float:
    low, high = RATE
    place = (math.log10(max(rate, 10.0**low)) - low) / (high - low)
    return MARGIN + (1 - min(1.0, place)) * (ROOF - MARGIN)


def _axes() -> Iterator[Mark]:
    for power in range(INTENSITY[0], INTENSITY[1] + 1):
        x = _x(10.0**power)
        yield Line(x, _y(10.0 ** RATE[0]), x, _y(10.0 ** RATE[1]), "#e4e4e4")
        yield Text(x, _y(10.0 ** RATE[0]) + 16, f"{10.0**power:g}", "middle")
    for power in range(RATE[0], RATE[1] + 1):
        y = _y(10.0**power)
        yield Line(_x(10.0 ** INTENSITY[0]), y, _x(10.0 ** INTENSITY[1]), y, "#e4e4e4")
        yield Text(MARGIN - 6, y + 4, f"{10.0**power:g}", "end")
    yield Text(WIDTH / 2, ROOF + 34, "operations for each byte that is read or written", "middle")
    yield Text(MARGIN, MARGIN - 14, "GFLOP/s")


def _roofs(limits: Limits) -> Iterator[Mark]:
    """Yield the maximum rate of multiply-adds, and the rates that reads from each cache allow."""
    target, peak = limits.target, limits.flops() / 1e9
    yield Line(_x(10.0 ** INTENSITY[0]), _y(peak), _x(10.0 ** INTENSITY[1]), _y(peak), "#333", 1.5)
    yield Text(WIDTH - MARGIN, _y(peak) - 6, f"{peak:.0f} GFLOP/s, one core", "end")
    for size in (target.first_cache // 2, target.second_cache // 2, 4 * target.second_cache):
        rate = limits.read(size) / 1e9
        begin = max(10.0 ** INTENSITY[0], 10.0 ** RATE[0] / rate)
        yield Line(_x(begin), _y(begin * rate), _x(peak / rate), _y(peak), "#888")
        name = limits.level(size).removeprefix("the ")
        yield Text(_x(begin) + 4, _y(begin * rate) - 3, f"{name} {rate:.0f} GB/s", "start", "#888")


def _dots(layers: Sequence[Part]) -> Iterator[Mark]:
    for number, part in enumerate(layers):
        if part.flops and part.bytes:
            rate = f"{part.gflops:.3g} GFLOP/s" if part.seconds else "too short to be timed"
            title = f"{part.name}: {rate}, {part.share:.1%}"
            place = _x(part.flops / part.bytes), _y(part.gflops)
            yield Dot(*place, 4 + 10 * math.sqrt(part.share), _colour(number), title)


def _bars(layers: Sequence[Part], top: float) -> Iterator[Mark]:
    """Yield the share of each layer, and in it that of the floor."""
    room = WIDTH - 2 * MARGIN
    for number, part in enumerate(layers):
        y = top + number * BAR
        yield Bar(y, max(0.5, room * part.share), _colour(number), 0.35)
        if part.floor and part.seconds:
            least = room * part.share * min(1.0, part.floor / part.seconds)
            yield Bar(y, max(0.5, least), _colour(number), 0.8)
        label = f"  {part.share:.1%}  {part.bound}"
        name = part.name if len(part.name + label) <= MAX_NAME else f"…{part.name[len(label) + 1 - MAX_NAME :]}"
        yield Text(MARGIN + 6, y + 14, f"{name}{label}")
    yield Text(MARGIN, top - 8, "share of native time; dark: what the floor of this machine would take")


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
