"""Line charts in SVG without a plotting package, such as for the metrics of a fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .html import escaped

WIDTH, HEIGHT = 420, 170
LEFT, RIGHT, TOP, BOTTOM = 62, 10, 22, 26
COLOURS = ("#2b7fc2", "#d55e00", "#00906a", "#b4659a")
MAX_DOTS = 40
MAX_POINTS = 1000
"""Maximum number of points of a line. Longer lines are subsampled at a constant stride, plus the last point."""


class Line(NamedTuple):
    """Line of a panel: label in the legend, and values, float64 [n]."""

    label: str
    values: np.ndarray


def panels(x_label: str, places: np.ndarray, of: Mapping[str, Sequence[Line]], marked: float | None = None) -> str:
    """Return HTML with one small chart for each title, side by side.

    A label has the same colour in all panels.

    Args:
        x_label: Label of the x axis.
        places: x coordinates of all lines [n].
        of: Lines by panel title. Values that are not finite are left out.
        marked: x coordinate of a vertical line at the best values; None for no line.
    """
    labels = [*dict.fromkeys(line.label for lines in of.values() for line in lines)]
    drawn = "".join(_panel(title, x_label, places, lines, labels, marked) for title, lines in of.items())
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{drawn}</div>'


def _panel(
    title: str,
    x_label: str,
    places: np.ndarray,
    lines: Sequence[Line],
    labels: Sequence[str],
    marked: float | None,
) -> str:
    """Return one chart as SVG, with an axis, ticks, lines in the colours of ``labels``, and a legend."""
    x_low, x_high = _range(places)
    y_low, y_high = _range(np.concatenate([line.values for line in lines]))

    def across(value: float) -> float:
        return LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    last_values = "; ".join(f"{line.label} {line.values[-1]:.4g}" for line in lines if len(line.values))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escaped(f"{title}, last: {last_values}")}" font-family="sans-serif" font-size="11" '
        f'fill="currentColor"><text x="{LEFT}" y="13" font-weight="bold">{escaped(title)}</text>'
    ]
    for value in _ticks(y_low, y_high):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down(value):.1f}" y2="{down(value):.1f}" '
            f'stroke="currentColor" stroke-opacity="0.15"/>'
            f'<text x="{LEFT - 5}" y="{down(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        )
    for value in _ticks(x_low, x_high, whole=True):
        parts.append(f'<text x="{across(value):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{value:.6g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">{escaped(x_label)}</text>')
    if marked is not None:
        x = across(marked)
        parts.append(
            f'<line class="best" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="currentColor" '
            f'stroke-opacity="0.6" stroke-dasharray="2 3"><title>best: {escaped(x_label)} {marked:.6g}</title></line>'
        )
    step = max(1, math.ceil(len(places) / MAX_POINTS))
    shown = sorted({*range(0, len(places), step), len(places) - 1} - {-1})
    for number, line in enumerate(lines):
        place = labels.index(line.label)
        colour = COLOURS[place % len(COLOURS)]
        dash = ' stroke-dasharray="5 3"' if place else ""
        points = [(across(places[at]), down(line.values[at])) for at in shown if math.isfinite(line.values[at])]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
        if len(places) <= MAX_DOTS:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>' for x, y in points]
        x = WIDTH - RIGHT - 90 * (len(lines) - number)
        parts.append(
            f'<line x1="{x}" x2="{x + 18}" y1="9" y2="9" stroke="{colour}" stroke-width="1.6"{dash}/>'
            f'<text x="{x + 22}" y="13">{escaped(line.label)}</text>'
        )
    return "".join([*parts, "</svg>"])


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the minimum and maximum finite value, moved apart a little if they are equal."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = max(abs(low) * 1e-3, 1e-9) if low == high else 0.0
    return low - margin, high + margin


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Return a few round numbers from ``low`` to ``high``, for an axis of a chart; only integers if ``whole``."""
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    while (high - low) / step > 5:
        step *= 2.5 if str(step).lstrip("0.")[:1] == "2" else 2
    if whole:
        step = max(1.0, round(step))
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, first + 12) if number * step <= high + step * 1e-9]
