"""Arrows between boxes, with labels where no other arrow crosses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from .boxes import Arrow, Declaration
from .layered import Edge
from .shapes import LINE, SMALL, Figure, Line, Shape, Text


def arrows_of(
    declaration: Declaration, graph: str, routes: Mapping[Edge, Sequence[tuple[float, float]]]
) -> Iterator[Figure]:
    """Yield the arrows of one graph. ``routes`` are their points, by boxes."""
    missing = {box.key for box in declaration.boxes if box.passes and graph == "inference"}
    ends: dict[str, tuple[float, float]] = {}
    shown = [arrow for arrow in declaration.arrows if getattr(arrow, graph)]
    lines: list[tuple[Arrow, Line]] = []
    near: dict[str, list[Line]] = {}
    for arrow in shown:
        points = [*routes[arrow.source, arrow.target]]
        if arrow.source in ends:  # an absent box, which the arrow passes through
            points.insert(0, ends[arrow.source])
        if arrow.target in missing:
            ends[arrow.target] = points[-1]
        line = Line(tuple(points), "arrow", arrow.target not in missing)
        lines.append((arrow, line))
        for end in (arrow.source, arrow.target):
            near.setdefault(end, []).append(line)
    for arrow, line in lines:
        shapes: list[Shape] = [line]
        if arrow.label and arrow.source not in missing:
            others = [other for end in (arrow.source, arrow.target) for other in near[end] if other is not line]
            shapes.append(label_of(line, arrow.label, others))
        yield Figure(graph, tuple(shapes), None, arrow.source, arrow.target)


def label_of(line: Line, text: str, others: Sequence[Line] = ()) -> Text:
    """Return the label of an arrow, at the position with the fewest crossing arrows."""
    places = [_beside(line, text, late, left) for late in (False, True) for left in (False, True)]
    return min(places, key=lambda place: sum(_crosses(place, other) for other in (line, *others)))


def _beside(line: Line, text: str, late: bool, left: bool) -> Text:
    """Return a label halfway between two layers: the arrow's first two, or the last two if ``late``."""
    (x, y), (beyond, below) = line.points[-2:] if late else line.points[:2]
    at = x + _on_curve(0.75 if late else 0.25)[0] * (beyond - x)
    return Text(at + (-6 if left else 6), y + 0.5 * (below - y) + 4, text, "label", left)


def _on_curve(share: float) -> tuple[float, float]:
    """Return how far across and down an arrow is at a share of its curve between layers."""
    return share * share * (3 - 2 * share), 1.5 * share * (1 - share) + share**3


CURVE = [_on_curve(step / 24) for step in range(25)]
"""Points of an arrow that are tested against labels."""


def _crosses(label: Text, line: Line) -> bool:
    """True if an arrow runs through a label."""
    wide = SMALL * len(label.text)
    left, right = (label.x - wide, label.x) if label.ends else (label.x, label.x + wide)
    return any(
        left - 2 < x + across * (beyond - x) < right + 2 and label.y - LINE < y + down * (below - y) < label.y + 4
        for (x, y), (beyond, below) in pairwise(line.points)
        for across, down in CURVE
    )
