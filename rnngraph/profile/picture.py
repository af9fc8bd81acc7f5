"""A profile as a picture, in SVG: the machine's roofline with a dot a layer, and a bar a layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from .breakdown import Part
from .limits import Limits

WIDTH, ROOF, BAR, MARGIN = 760, 300, 22, 56
"""Pixels: of the picture, of the roofline's height, of a bar, and around."""
INTENSITY, RATE = (-3, 3), (-2, 3)
"""Powers of ten that the axes reach over: operations a byte, and GFLOP/s."""
COLOURS = ("#3b6fb6", "#c4603a", "#4a9a5a", "#8a5fb0", "#b89a2a", "#4aa3a8", "#b04a7a", "#707070")


def svg_of(layers: Sequence[Part], limits: Limits) -> str:
    """The picture of a profile's layers on a machine of these limits."""
    height = ROOF + BAR * len(layers) + 3 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        *_axes(),
        *_roofs(limits),
        *_dots(layers),
        *_bars(layers, ROOF + 2 * MARGIN),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _x(intensity: float) -> float:
    low, high = INTENSITY
    place = (math.log10(max(intensity, 10.0**low)) - low) / (high - low)
    return MARGIN + min(1.0, place) * (WIDTH - 2 * MARGIN)


def _y(rate: float) -> float:
    low, high = RATE
    place = (math.log10(max(rate, 10.0**low)) - low) / (high - low)
    return MARGIN + (1 - min(1.0, place)) * (ROOF - MARGIN)


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, width: float = 1.0) -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _axes() -> Iterator[str]:
    for power in range(INTENSITY[0], INTENSITY[1] + 1):
        x = _x(10.0**power)
        yield _line(x, _y(10.0 ** RATE[0]), x, _y(10.0 ** RATE[1]), "#e4e4e4")
        yield _text(x, _y(10.0 ** RATE[0]) + 16, f"{10.0**power:g}", "middle")
    for power in range(RATE[0], RATE[1] + 1):
        y = _y(10.0**power)
        yield _line(_x(10.0 ** INTENSITY[0]), y, _x(10.0 ** INTENSITY[1]), y, "#e4e4e4")
        yield _text(MARGIN - 6, y + 4, f"{10.0**power:g}", "end")
    yield _text(WIDTH / 2, ROOF + 34, "operations for each byte that is read or written", "middle")
    yield _text(MARGIN, MARGIN - 14, "GFLOP/s")


def _roofs(limits: Limits) -> Iterator[str]:
    """What multiply-adds reach at most, and what reads from each cache allow."""
    target, peak = limits.target, limits.flops() / 1e9
    yield _line(_x(10.0 ** INTENSITY[0]), _y(peak), _x(10.0 ** INTENSITY[1]), _y(peak), "#333", 1.5)
    yield _text(WIDTH - MARGIN, _y(peak) - 6, f"{peak:.0f} GFLOP/s, one core", "end")
    for size in (target.first_cache // 2, target.second_cache // 2, 4 * target.second_cache):
        rate = limits.read(size) / 1e9
        begin = max(10.0 ** INTENSITY[0], 10.0 ** RATE[0] / rate)
        yield _line(_x(begin), _y(begin * rate), _x(peak / rate), _y(peak), "#888")
        name = limits.level(size).removeprefix("the ")
        yield _text(_x(begin) + 4, _y(begin * rate) - 3, f"{name} {rate:.0f} GB/s", "start", "#888")


def _dots(layers: Sequence[Part]) -> Iterator[str]:
    for number, part in enumerate(layers):
        if part.flops and part.bytes and part.seconds:
            place = f'cx="{_x(part.flops / part.bytes):.1f}" cy="{_y(part.gflops):.1f}"'
            radius = 4 + 10 * math.sqrt(part.share)
            title = f"<title>{escape(part.name)}: {part.gflops:.3g} GFLOP/s, {part.share:.1%}</title>"
            yield f'<circle {place} r="{radius:.1f}" fill="{_colour(number)}" fill-opacity="0.7">{title}</circle>'


def _bars(layers: Sequence[Part], top: float) -> Iterator[str]:
    """The share of each layer, and in it what the floor would take."""
    room = WIDTH - 2 * MARGIN
    for number, part in enumerate(layers):
        y = top + number * BAR
        yield _bar(y, room * part.share, _colour(number), 0.35)
        if part.floor and part.seconds:
            yield _bar(y, room * part.share * min(1.0, part.floor / part.seconds), _colour(number), 0.8)
        yield _text(MARGIN + 6, y + 14, f"{part.name}  {part.share:.1%}  {part.bound}")
    yield _text(MARGIN, top - 8, "share of native time; dark: what the floor of this machine would take")


def _bar(y: float, width: float, colour: str, opacity: float) -> str:
    return (
        f'<rect x="{MARGIN}" y="{y:.1f}" width="{max(0.5, width):.1f}" height="{BAR - 4}" fill="{colour}" '
        f'fill-opacity="{opacity}"/>'
    )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
