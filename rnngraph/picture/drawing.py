"""Boxes and arrows as lines and texts at their places. Both graphs have one layout, so that what one of them has not
leaves its place empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .boxes import Box, Declaration
from .expressions import Equation
from .layered import layered

Graphs = Literal["training", "inference", "both"]
Detail = Literal["layers", "cells", "equations"]

CHARACTER, SMALL = 7.3, 6.7
"""Widths of a character of text and of small text, in pixels, of fonts of 12 and 11 pixels."""

LINE, PADDING, GAP, JOIN = 17.0, 10.0, 6.0, 24.0
"""Pixels: height of a line of text, inside of boxes, between what lies in a box, and where an arrow joins two."""

LOOP, MARGIN, APART = 26.0, 16.0, 48.0
"""Pixels: of a recurrence beside its box, around the picture, and between two graphs."""

MOST_ROWS, MOST_CHARACTERS = 24, 72
"""Equations that are written out in a box, and characters of a line of text."""


@dataclass(frozen=True)
class Rectangle:
    """style: the kind of its box, or ``dropout``."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True)
class Text:
    """One line of text, whose baseline begins at (x, y), or ends there."""

    x: float
    y: float
    text: str
    style: str
    ends: bool = False


@dataclass(frozen=True)
class Line:
    """A polyline. style: ``arrow``, or ``loop`` with round corners. headed: whether an arrow head is at its end."""

    points: tuple[tuple[float, float], ...]
    style: str
    headed: bool = True


Shape = Rectangle | Text | Line


@dataclass(frozen=True)
class Figure:
    """What belongs together: a box with its texts, or an arrow. source, target: keys of an arrow's boxes."""

    graph: str
    shapes: tuple[Shape, ...]
    box: Box | None = None
    source: str = ""
    target: str = ""


@dataclass(frozen=True)
class Drawing:
    """Figures in the order in which they are drawn, those behind first."""

    figures: tuple[Figure, ...]
    width: float
    height: float
    label: str


def drawing_of(declaration: Declaration, graphs: Graphs, detail: Detail) -> Drawing:
    """The drawing of one of the graphs, or of both side by side."""
    sized = {box.key: _sized(box, detail) for box in declaration.boxes}
    sizes = {key: (item.outer, item.height) for key, item in sized.items()}
    edges = [(arrow.source, arrow.target) for arrow in declaration.arrows]
    layout = layered(sizes, edges, {key: item.width for key, item in sized.items()})
    figures: list[Figure] = []
    shown: Sequence[str] = ("training", "inference") if graphs == "both" else (graphs,)
    head = 2 * LINE
    for number, graph in enumerate(shown):
        left, top = MARGIN + number * (layout.width + APART), MARGIN + head
        title = Text(left, MARGIN + LINE, f"{graph} graph", "heading")
        figures.append(Figure(graph, (title,)))
        missing = {box.key for box in declaration.boxes if box.passes and graph == "inference"}
        ends: dict[str, tuple[float, float]] = {}
        for arrow in declaration.arrows:
            if getattr(arrow, graph):
                points = [(x + left, y + top) for x, y in layout.routes[arrow.source, arrow.target]]
                if arrow.source in ends:  # a box that is not there, which the arrow goes through
                    points.insert(0, ends[arrow.source])
                if arrow.target in missing:
                    ends[arrow.target] = points[-1]
                late = sized[arrow.target].width > sized[arrow.source].width  # where arrows are apart
                shapes = _arrow(points, arrow.label, late, arrow.target not in missing)
                figures.append(Figure(graph, shapes, None, arrow.source, arrow.target))
        for box in declaration.boxes:
            x, y = layout.places[box.key]
            figures += sized[box.key].figures(left + x, top + y, graph)
    width = 2 * MARGIN + len(shown) * layout.width + (len(shown) - 1) * APART
    counts = f"{sum(1 for box in declaration.boxes if box.kind == 'driver')} recurrences"
    label = f"The declared net: {' and '.join(f'its {graph} graph' for graph in shown)}, {counts}"
    return Drawing(tuple(figures), max(width, 200.0), 2 * MARGIN + head + layout.height, label)


def _arrow(
    points: Sequence[tuple[float, float]], label: str, late: bool = False, headed: bool = True
) -> tuple[Shape, ...]:  # fmt: skip
    """An arrow. late: whether its label is nearer to its end than to its beginning."""
    line = Line(tuple(points), "arrow", headed)
    if not label:
        return (line,)
    (x, y), (beyond, below) = points[-2:] if late else points[:2]
    share = 0.75 if late else 0.25
    share_across = share * share * (3 - 2 * share)  # of the curve
    left = (beyond < x - PADDING) == late and abs(beyond - x) > PADDING  # on the outer side of what bends
    at = x + share_across * (beyond - x)
    return line, Text(at + (-6 if left else 6), y + 0.5 * (below - y) + 4, label, "label", left)


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


@dataclass
class _Sized:
    """A box and what is in it, with sizes. outer: with the recurrence beside it. head: height of the titles."""

    box: Box
    parts: list[_Sized | _Row]
    width: float = 0.0
    height: float = 0.0
    outer: float = 0.0
    head: float = 0.0
    offsets: list[float] = field(default_factory=list)

    def figures(self, x: float, y: float, graph: str) -> Iterator[Figure]:
        """The box at this place, as one of the graphs has it, and all that lies in it."""
        box = self.box
        inner: list[Figure] = []
        shapes: list[Shape] = []
        if getattr(box, graph):
            shapes = [Rectangle(x, y, self.width, self.height, box.kind), *self._titles(x, y)]
            shapes += self._loops(x, y)
        for number, (part, offset) in enumerate(zip(self.parts, self.offsets, strict=True)):
            if isinstance(part, _Row):
                shapes += part.shapes(x + PADDING, y + offset, self.width - 2 * PADDING, graph)
                continue
            inner += part.figures(x + PADDING, y + offset, graph)
            place = box.items.index(part.box)
            if place in box.joins and number and getattr(box, graph):
                at = x + PADDING + part.width / 2
                shapes += _arrow([(at, y + offset - JOIN), (at, y + offset)], box.joins[place])
        if shapes:
            yield Figure(graph, tuple(shapes), box)
        yield from inner

    def _titles(self, x: float, y: float) -> Iterator[Shape]:
        at = y + PADDING / 2
        for title in self.box.titles:
            at += LINE
            yield Text(x + PADDING, at - 4, _shortened(title), "title")
        if self.box.note:
            yield Text(x + PADDING, at + LINE - 4, _shortened(self.box.note), "note")

    def _loops(self, x: float, y: float) -> Iterator[Shape]:
        """The recurrence: from the end of the box back to its beginning, with what is carried."""
        states = self.box.states
        if not states:
            return
        right, out = x + self.width, x + self.width + LOOP / 2
        yield Line(((right, y + self.height - 9), (out, y + self.height - 9), (out, y + 11), (right, y + 11)), "loop")
        texts = _state_texts(self.box)
        at = y + self.height / 2 - LINE * (len(texts) - 1) / 2 + 4
        for number, text in enumerate(texts):
            yield Text(out + 5, at + LINE * number, text, "state")


@dataclass(frozen=True)
class _Row:
    """A line of text in a box. item: an equation; None: of more than are shown."""

    item: Equation | None
    more: str = ""

    def text(self, graph: str) -> str:
        if self.item is None:
            return self.more
        found = getattr(self.item, graph)
        return _shortened(f"{self.item.name} = {found}") if found else ""

    @property
    def width(self) -> float:
        return CHARACTER * max(len(self.text("training")), len(self.text("inference")))

    def shapes(self, x: float, y: float, width: float, graph: str) -> Iterator[Shape]:
        text = self.text(graph)
        if not text:
            return
        is_dropout = self.item is not None and self.item.is_dropout
        if is_dropout:
            yield Rectangle(x - 4, y + 1, width + 8, LINE - 1, "dropout")
        yield Text(x, y + LINE - 4, text, "dropped" if is_dropout else "equation" if self.item else "note")


def _state_texts(box: Box) -> list[str]:
    """What a box carries; of many states, equal in size, the first and the last."""
    texts = [f"{state.name} [{state.width}]" for state in box.states]
    fitting = 3 + len(box.items)
    return texts if len(texts) <= fitting else [*texts[: fitting - 2], f"… {len(texts) - fitting + 1} more", texts[-1]]


def _sized(box: Box, detail: Detail, depth: int = 0) -> _Sized:
    """The sizes of a box, as much of it as ``detail`` says. Boxes nest as deep as cells are declared in each other."""
    rows = [item for item in box.items if isinstance(item, Equation)]
    if detail == "equations":
        left_out = {id(row) for row in rows[MOST_ROWS:]}
    else:
        left_out = {id(row) for row in rows if not row.is_dropout}
    parts: list[_Sized | _Row] = []
    for item in box.items:
        if isinstance(item, Box):
            if detail != "layers" or depth < 1:
                parts.append(_sized(item, detail, depth + 1))
        elif id(item) not in left_out:
            parts.append(_Row(item))
    if detail == "equations" and left_out:
        parts.append(_Row(None, f"… {len(left_out)} more"))
    made = _Sized(box, parts)
    texts = [_shortened(text) for text in (*box.titles, box.note)]
    made.head = PADDING / 2 + LINE * sum(map(bool, texts)) + PADDING / 2
    widths = [CHARACTER * len(text) for text in texts]
    at, before = made.head, False
    for part in parts:
        is_box = isinstance(part, _Sized)
        if is_box and before:
            at += JOIN if box.items.index(part.box) in box.joins else GAP  # type: ignore[union-attr]
        elif is_box or before:
            at += GAP
        before = is_box
        made.offsets.append(at)
        at += part.height if isinstance(part, _Sized) else LINE
        widths.append(part.outer if isinstance(part, _Sized) else part.width)
    made.width = max(60.0, *widths) + 2 * PADDING
    made.height = at + (PADDING if parts else 0.0)
    made.outer = made.width
    if box.states:
        texts = _state_texts(box)
        made.height = max(made.height, LINE * (len(texts) + 1))
        made.outer += LOOP + SMALL * max(map(len, texts))
    return made
