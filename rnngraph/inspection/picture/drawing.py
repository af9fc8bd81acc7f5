"""Boxes and arrows as lines and texts. Both graphs have one layout, in which absent parts leave gaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from .arrows import Arrows, arrows_of, label_of
from .boxes import Box, Declaration, State
from .expressions import Equation
from .layered import Layout, layered
from .shapes import CHARACTER, LINE, SMALL, Drawing, Figure, Line, Rectangle, Shape, Text

Graphs = Literal["training", "inference", "both"]
Detail = Literal["layers", "cells", "equations"]
DETAILS: tuple[Detail, ...] = ("equations", "cells", "layers")

PADDING, GAP, JOIN = 10.0, 6.0, 24.0
"""Pixels between a box and its items, between two items, and between two items joined by an arrow."""

LOOP, MARGIN, GRAPH_GAP, MIN_WIDTH = 26.0, 16.0, 48.0, 200.0
"""In pixels: space for a loop's arrow beside its box, outer margin, space between two graphs, and minimum width."""

MAX_WIDENED, MAX_FOR_ARROWS = 12, 3 * LINE
"""Maximum attempts to widen gaps between layers for labels, and pixels by which a gap grows to avoid arrows."""

MAX_ROWS, MAX_TITLES, MAX_CHARACTERS = 24, 8, 72
"""Maximum equations in a box, lines of its head, and characters of a line."""


def drawing_of(declaration: Declaration, graphs: Graphs, detail: Detail, with_closed: bool = False) -> Drawing:
    """Return the shapes of the net's picture for one graph, or for both graphs side by side.

    ``with_closed`` adds a closed form of boxes, and space for it.
    """
    sized = {box.key: _set_sizes(box, detail, with_closed) for box in declaration.boxes}
    sizes = {key: (item.outer, item.height) for key, item in sized.items()}
    edges = [(arrow.source, arrow.target) for arrow in declaration.arrows]
    ports = {key: (item.closed or item).width for key, item in sized.items()}
    figures: list[Figure] = []
    shown: Sequence[str] = ("training", "inference") if graphs == "both" else (graphs,)
    layout, arrows = _laid_out(declaration, sizes, edges, ports)
    labels = [label for item in arrows.values() for label in item.frames]
    first = min((label[0] for label in labels if label[0] < 0), default=0.0)
    last = max((label[1] for label in labels if label[1] > layout.width), default=layout.width)
    head = 2 * LINE
    for number, graph in enumerate(shown):
        left, top = MARGIN - first + number * (last - first + GRAPH_GAP), MARGIN + head
        title = Text(left + first, MARGIN + LINE, f"{graph} graph", "heading")
        figures.append(Figure(graph, (title,)))
        for figure in arrows[graph].figures:
            figures.append(replace(figure, shapes=tuple(_moved(shape, left, top) for shape in figure.shapes)))
        for box in declaration.boxes:
            x, y = layout.places[box.key]
            figures += sized[box.key].figures(left + x, top + y, graph)
    width = 2 * MARGIN + len(shown) * (last - first) + (len(shown) - 1) * GRAPH_GAP
    count = sum(box.kind == "driver" for box in declaration.boxes)
    counted = f"{count or 'no'} {'recurrence' if count == 1 else 'recurrences'}"
    label = f"The declared net: {' and '.join(f'its {graph} graph' for graph in shown)}, {counted}"
    drawing = Drawing(tuple(figures), width, 2 * MARGIN + head + layout.height, label)
    return drawing if graphs == "both" else _crop(drawing)


def _laid_out(
    declaration: Declaration,
    sizes: Mapping[str, tuple[float, float]],
    edges: Sequence[tuple[str, str]],
    ports: Mapping[str, float],
) -> tuple[Layout, dict[str, Arrows]]:
    """Return (positions of the boxes, arrows by graph). Gaps between layers are as high as their labels need."""
    wider: dict[int, float] = {}
    for _ in range(MAX_WIDENED):
        layout = layered(sizes, edges, ports, wider)
        arrows = {graph: arrows_of(declaration, graph, layout) for graph in ("training", "inference")}
        crowded = set().union(*(item.crowded for item in arrows.values()))
        crossed = set().union(*(item.crossed for item in arrows.values()))
        crowded |= {layer for layer in crossed if wider.get(layer, 0.0) < MAX_FOR_ARROWS}
        if not crowded:
            break
        for layer in crowded:
            wider[layer] = wider.get(layer, 0.0) + LINE
    return layout, arrows


def _crop(drawing: Drawing) -> Drawing:
    """Return the drawing without empty space at the left and right, which only boxes of the other graph need."""
    drawn = [figure for figure in drawing.figures if figure.box or figure.source]
    shapes = [shape for figure in drawn for shape in (*figure.shapes, *figure.closed)]
    boxes = [shape for shape in shapes if isinstance(shape, Rectangle)]
    texts = [shape for shape in shapes if isinstance(shape, Text)]
    left = min(
        [box.x for box in boxes] + [text.x - SMALL * len(text.text) * text.ends for text in texts], default=MARGIN
    )
    right = max(
        [box.x + box.width for box in boxes]
        + [text.x + CHARACTER * len(text.text) * (not text.ends) for text in texts],
        default=drawing.width,
    )
    by = MARGIN - left
    figures = [
        replace(
            figure,
            shapes=tuple(_moved(shape, by, 0) for shape in figure.shapes),
            closed=tuple(_moved(shape, by, 0) for shape in figure.closed),
        )
        for figure in drawing.figures
    ]
    heading = tuple(replace(shape, x=MARGIN) if isinstance(shape, Text) else shape for shape in figures[0].shapes)
    figures[0] = replace(figures[0], shapes=heading)
    return replace(drawing, figures=tuple(figures), width=max(right + by + MARGIN, MIN_WIDTH))


def _moved(shape: Shape, right: float, down: float) -> Shape:
    """Return a shape moved by a number of pixels."""
    if isinstance(shape, Line):
        return replace(shape, points=tuple((x + right, y + down) for x, y in shape.points))
    return replace(shape, x=shape.x + right, y=shape.y + down)


def _titles(box: Box) -> tuple[str, ...]:
    """Return the lines of a box's head. If wrappers are nested too deeply, only the outermost are named."""
    left_out = len(box.titles) - MAX_TITLES
    return box.titles if left_out <= 0 else (*box.titles[: MAX_TITLES - 1], f"… {left_out + 1} more")


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"


@dataclass
class _Sized:
    """A box and its contents with sizes.

    Attributes:
        states: Texts of the carried states.
        outer: Width, including the arrow of the recurrence.
        head: Height of the titles.
        tag: Layer that is shown after the title.
        closed: The box without contents.
    """

    box: Box
    parts: list[_Sized | _Row]
    states: list[str]
    width: float = 0.0
    height: float = 0.0
    outer: float = 0.0
    head: float = 0.0
    offsets: list[float] = field(default_factory=list)
    tag: str = ""
    closed: _Sized | None = None

    def figures(self, x: float, y: float, graph: str) -> Iterator[Figure]:
        """Yield the shapes of a box at (x, y), and of the boxes inside, as they appear in one graph."""
        box = self.box
        inner: list[Figure] = []
        above, before = y, x + PADDING + self.width
        shapes: list[Shape] = []
        if getattr(box, graph):
            shapes = [Rectangle(x, y, self.width, self.height, box.kind), *self._titles(x, y)]
            shapes += self._loops(x, y)
        for number, (part, offset) in enumerate(zip(self.parts, self.offsets, strict=True)):
            if isinstance(part, _Row):
                shapes += part.shapes(x + PADDING, y + offset, self.width - 2 * PADDING, graph)
                continue
            inner += part.figures(x + PADDING, y + offset, graph)
            place, shown = box.items.index(part.box), part.visible(x + PADDING, y + offset, graph)
            if place in box.joins and number and getattr(box, graph):
                at = (shown.x + min(shown.x + shown.width, before)) / 2
                join = Line(((at, above), (at, shown.y)), "arrow")
                shapes += (join, label_of(join, box.joins[place]))
            above, before = shown.y + shown.height, shown.x + shown.width
        if shapes:
            closed = self.closed if self.closed and getattr(box, graph) else None
            yield Figure(graph, tuple(shapes), box, closed=tuple(closed.alone(x, y, graph)) if closed else ())
        yield from inner

    def alone(self, x: float, y: float, graph: str) -> Iterator[Shape]:
        """Yield the shapes of a box at (x, y) without the boxes inside."""
        yield Rectangle(x, y, self.width, self.height, self.box.kind)
        yield from self._titles(x, y)
        yield from self._loops(x, y)
        for part, offset in zip(self.parts, self.offsets, strict=True):
            if isinstance(part, _Row):
                yield from part.shapes(x + PADDING, y + offset, self.width - 2 * PADDING, graph)

    def visible(self, x: float, y: float, graph: str) -> Rectangle:
        """Return a box's rectangle in one graph; that of its contents if the graph does not have the box."""
        inner = [
            part.visible(x + PADDING, y + offset, graph)
            for part, offset in zip(self.parts, self.offsets, strict=True)
            if isinstance(part, _Sized)
        ]
        if getattr(self.box, graph) or not inner:
            return Rectangle(x, y, self.width, self.height, self.box.kind)
        first, last = inner[0], inner[-1]
        return Rectangle(x + PADDING, first.y, last.width, last.y + last.height - first.y, last.style)

    def _titles(self, x: float, y: float) -> Iterator[Shape]:
        """Yield the texts at the top of a box: its titles, layer and note."""
        at = y + PADDING / 2
        for title in _titles(self.box):
            at += LINE
            yield Text(x + PADDING, at - 4, _shortened(title), "title")
        if self.tag:
            yield Text(x + PADDING + CHARACTER * (len(_shortened(title)) + 1), at - 4, self.tag, "note")
        if self.box.note:
            yield Text(x + PADDING, at + LINE - 4, _shortened(self.box.note), "note")

    def _loops(self, x: float, y: float) -> Iterator[Shape]:
        """Yield the arrow from the end of a recurrent box to its beginning, with texts of the carried states."""
        if not self.states:
            return
        right, out = x + self.width, x + self.width + LOOP / 2
        yield Line(((right, y + self.height - 9), (out, y + self.height - 9), (out, y + 11), (right, y + 11)), "loop")
        at = y + self.height / 2 - LINE * (len(self.states) - 1) / 2 + 4
        for number, text in enumerate(self.states):
            yield Text(out + 5, at + LINE * number, text, "state")


@dataclass(frozen=True)
class _Row:
    """Line of text in a box: the equation ``item``, or without one the text ``more``, such as ``… 3 more``.

    ``is_dropout``: True if only the training graph has the equation.
    """

    item: Equation | None
    more: str = ""
    is_dropout: bool = False

    def text(self, graph: str) -> str:
        if self.item is None:
            return "" if self.is_dropout and graph == "inference" else self.more
        expression = getattr(self.item, graph)
        return _shortened(f"{self.item.name} = {expression}") if expression else ""

    @property
    def width(self) -> float:
        return CHARACTER * max(len(self.text("training")), len(self.text("inference")))

    def shapes(self, x: float, y: float, width: float, graph: str) -> Iterator[Shape]:
        """Yield the shapes of a line of text in a box, shaded for dropout; nothing if the graph does not have it."""
        text = self.text(graph)
        if not text:
            return
        if self.is_dropout:
            yield Rectangle(x - 4, y + 1, width + 8, LINE - 1, "dropout")
        yield Text(x, y + LINE - 4, text, "dropped" if self.is_dropout else "equation" if self.item else "note")


def _state_texts(states: Sequence[State], shown: int) -> list[str]:
    """Return the texts of states. If there are more than ``shown``, only the first and the last."""
    texts = [f"{state.name} [{state.width}]" for state in states]
    fitting = max(3, shown + 2)
    return texts if len(texts) <= fitting else [*texts[: fitting - 2], f"… {len(texts) - fitting + 1} more", texts[-1]]


def _contents(box: Box, detail: Detail, with_closed: bool) -> list[_Sized | _Row]:
    """Return the equations and inner boxes that a box shows at a level of detail."""
    if detail == "layers":
        inner = [item for one in box.walk() for item in one.items if isinstance(item, Equation)]
        count = sum(row.is_dropout for row in inner)
        places = "place" if count == 1 else "places"
        return [_Row(None, f"dropout at {count} {places}", True)] if count else []
    rows = [item for item in box.items if isinstance(item, Equation)]
    shown = rows[:MAX_ROWS] if detail == "equations" else [row for row in rows if row.is_dropout][:MAX_ROWS]
    contents = {id(row) for row in shown}
    parts: list[_Sized | _Row] = []
    for item in box.items:
        if isinstance(item, Box):
            parts.append(_set_sizes(item, detail, with_closed))
        elif id(item) in contents:
            parts.append(_Row(item, "", item.is_dropout))
    if detail == "equations" and len(rows) > len(shown):
        parts.append(_Row(None, f"… {len(rows) - len(shown)} more"))
    return parts


def _tag(box: Box, detail: Detail) -> str:
    """Return the user's name of the layer of a box's only cell, such as ``cell_0`` for ``rnn/cell_0/gru_cell``.

    Return "" if the box has no cell with a layer, or several.
    """
    cells = [one for one in (box.walk() if detail == "layers" else [box]) if one.kind == "cell" and one.layer]
    return _shortened(cells[0].layer.rpartition("/")[0].rpartition("/")[2]) if len(cells) == 1 else ""


def _set_sizes(box: Box, detail: Detail, with_closed: bool = False) -> _Sized:
    """Return a box with its contents, and the width and height that they need at a level of detail."""
    parts = _contents(box, detail, with_closed)
    # a closed box shows the recurrences of the boxes inside it
    states = [state for inner in (box.walk() if detail == "layers" else [box]) for state in inner.states]
    sized = _Sized(box, parts, _state_texts(states, len(parts)), tag=_tag(box, detail))
    texts = [_shortened(text) for text in (*_titles(box), box.note)]
    sized.head = PADDING / 2 + LINE * sum(map(bool, texts)) + PADDING / 2
    widths = [CHARACTER * len(text) for text in texts]
    widths.append(CHARACTER * (len(_titles(box)[-1]) + 1 + len(sized.tag)) if sized.tag else 0.0)
    at, before = sized.head, False
    for part in parts:
        is_joined = before and isinstance(part, _Sized) and box.items.index(part.box) in box.joins
        is_box = isinstance(part, _Sized)
        if is_box or before:
            at += JOIN if is_joined else GAP
        before = is_box
        sized.offsets.append(at)
        at += part.height if isinstance(part, _Sized) else LINE
        widths.append(part.outer if isinstance(part, _Sized) else part.width)
    sized.width = max(60.0, *widths) + 2 * PADDING
    sized.height = at + (PADDING if parts else 0.0)
    sized.outer = sized.width
    if states:
        sized.height = max(sized.height, LINE * (len(sized.states) + 1))
        sized.outer += LOOP + SMALL * max(map(len, sized.states))
    if with_closed and parts and detail != "layers":
        _close(sized)
    return sized


def _close(open_box: _Sized) -> None:
    """Add the smaller, closed form of a box, which hides its contents, if that form is lower."""
    closed = _set_sizes(open_box.box, "layers")
    if closed.height >= open_box.height:
        return
    beside, wider = closed.outer - closed.width, max(0.0, closed.width - open_box.width)
    open_box.width, open_box.outer = open_box.width + wider, open_box.outer + wider
    closed.width = min(open_box.width, max(closed.width, open_box.outer - beside))
    open_box.closed, open_box.outer = closed, max(open_box.outer, closed.width + beside)
