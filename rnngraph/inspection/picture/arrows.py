"""Arrows between boxes, with labels that lie over no other label and, where there is room, over no arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

from .boxes import Arrow, Declaration
from .layered import Edge, Layout, Point
from .shapes import SMALL, Figure, Line, Shape, Text

Frame = tuple[float, float, float, float]
"""Left, right, top and bottom."""

ASCENT, DESCENT, CLEAR = 10.0, 3.0, 3.0
"""Pixels of small text above and below its baseline, and around a label."""

SHARES = (0.5, 0.34, 0.66, 0.22, 0.78)
"""Shares of a gap between layers at which labels may stand, best first."""

LIFTS = (0.0, -9.0, 9.0)
"""Offsets in pixels of a label above or below a flat arrow, which would otherwise run through the label."""

OVER_LABEL, OVER_ARROW = 100.0, 10.0
"""Costs of a label over another label, and over an arrow. Among places of equal cost, the first one is preferred."""


@dataclass
class Arrows:
    """Arrows of one graph and their labels.

    Attributes:
        figures: Arrows with their labels.
        frames: Frames of the labels.
        crowded: Layers below which a label lies over another one.
        crossed: Layers below which a label lies over an arrow.
    """

    figures: list[Figure] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    crowded: set[int] = field(default_factory=set)
    crossed: set[int] = field(default_factory=set)


def arrows_of(declaration: Declaration, graph: str, layout: Layout) -> Arrows:
    """Return the arrows of one graph's picture, with their labels at places without overlap if possible."""
    missing = {box.key for box in declaration.boxes if box.passes and graph == "inference"}
    shown = [arrow for arrow in declaration.arrows if getattr(arrow, graph)]
    lines = [*_lines(shown, missing, layout.routes)]
    segments = [segment for line in lines for segment in pairwise(line.points)]
    arrows = Arrows()
    for arrow, line in zip(shown, lines, strict=True):
        shapes: list[Shape] = [line]
        if arrow.label and arrow.source not in missing:
            gaps = [*pairwise(layout.routes[arrow.source, arrow.target])][1::2]
            label, cost = _best_label(arrow.label, gaps, segments, arrows.frames)
            arrows.frames.append(frame_of(label))
            shapes.append(label)
            layers = {_layer_above(gap, layout) for gap in (gaps[0], gaps[-1])}
            arrows.crowded |= layers if cost >= OVER_LABEL else set()
            arrows.crossed |= layers if cost >= OVER_ARROW else set()
        arrows.figures.append(Figure(graph, tuple(shapes), None, arrow.source, arrow.target))
    return arrows


def label_of(line: Line, text: str) -> Text:
    """Return the label of an arrow that runs straight down, in the middle of its right side."""
    (x, y), (_, below) = line.points
    return Text(x + 6, y + 0.5 * (below - y) + 4, text, "label")


def frame_of(label: Text) -> Frame:
    """Return the frame of a label."""
    wide = SMALL * len(label.text)
    left = label.x - wide if label.ends else label.x
    return left, left + wide, label.y - ASCENT, label.y + DESCENT


def overlap(one: Frame, other: Frame, clear: float = 0.0) -> bool:
    """True if two frames are less than ``clear`` apart."""
    across = one[0] < other[1] + clear and other[0] < one[1] + clear
    return across and one[2] < other[3] + clear and other[2] < one[3] + clear


def _lines(shown: Sequence[Arrow], missing: set[str], routes: Mapping[Edge, Sequence[Point]]) -> Iterator[Line]:
    """Yield the line of each arrow. An arrow to a box that is absent here continues at the box's other side."""
    ends: dict[str, Point] = {}
    for arrow in shown:
        points = [*routes[arrow.source, arrow.target]]
        if arrow.source in ends:
            points.insert(0, ends[arrow.source])
        if arrow.target in missing:
            ends[arrow.target] = points[-1]
        yield Line(tuple(points), "arrow", arrow.target not in missing)


def _layer_above(gap: tuple[Point, Point], layout: Layout) -> int:
    return min(range(len(layout.bottoms)), key=lambda layer: abs(layout.bottoms[layer] - gap[0][1]))


def _best_label(
    text: str,
    gaps: Sequence[tuple[Point, Point]],
    segments: Sequence[tuple[Point, Point]],
    frames: Sequence[Frame],
) -> tuple[Text, float]:
    """Return the label of an arrow at its best place, and the cost of that place.

    Args:
        text: The label.
        gaps: Parts of the arrow between layers.
        segments: Parts of all arrows.
        frames: Frames of the labels that are placed already.
    """
    best, least = None, float("inf")
    for preference, label in enumerate(_label_places(text, gaps)):
        frame = frame_of(label)
        over = sum(overlap(frame, other, CLEAR) for other in frames)
        near = [segment for segment in segments if segment[0][1] <= frame[3] and segment[1][1] >= frame[2]]
        cost = OVER_LABEL * over + OVER_ARROW * sum(_crosses(frame, *segment) for segment in near) + preference / 1000
        if cost < least:
            best, least = label, cost
    assert best is not None
    return best, least


def _label_places(text: str, gaps: Sequence[tuple[Point, Point]]) -> Iterator[Text]:
    """Yield places of a label at an arrow, best first: at its ends, then at layers between, right and left of it."""
    for share in SHARES:
        for (x, y), (beyond, below) in dict.fromkeys((gaps[0], gaps[-1], *gaps[1:-1])):
            across, down = _on_curve(share)
            for lift, is_left in product(LIFTS, (False, True)):
                at = x + across * (beyond - x) + (-6 if is_left else 6)
                base = y + down * (below - y) + 4 + lift
                if y < base - ASCENT and base + DESCENT < below:
                    yield Text(at, base, text, "label", is_left)


def _on_curve(share: float) -> tuple[float, float]:
    """Return a point of an arrow's curve between two layers, as shares of its width and height.

    ``share`` is the parameter of the curve, from 0 to 1.
    """
    return share * share * (3 - 2 * share), 1.5 * share * (1 - share) + share**3


CURVE = [_on_curve(step / 24) for step in range(25)]
"""Points of an arrow that are tested against labels."""


def _crosses(frame: Frame, start: Point, end: Point) -> bool:
    """True if a part of an arrow, which runs as a curve from ``start`` to ``end``, crosses a frame."""
    left, right, top, bottom = frame
    (x, y), (beyond, below) = start, end
    return any(
        left - 2 < x + across * (beyond - x) < right + 2 and top - 2 < y + down * (below - y) < bottom + 2
        for across, down in CURVE
    )
