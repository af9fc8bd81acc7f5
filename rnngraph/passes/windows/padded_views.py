"""padded_views: pad a value once, in place of several slices of it.

A 2-D convolution reads rows above and below, which are slices of padded rows. If the slices are padded along the
columns, each is copied. If the padded rows are padded along the columns instead, the slices are views of one value.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...ir.graph import Graph, Node, make, map_bodies, remake, rewrite
from ...ir.node import is_scalar_broadcast
from ...ir.types import Dim
from ...support.records import NamedTuple, dataclass


@dataclass(frozen=True)
class PaddedViews:
    """Pad a value once, in place of several slices of it.

    Law: values are unchanged, bit for bit.
    """

    name: str = "padded_views"

    def __call__(self, graph: Graph) -> Graph:
        return map_bodies(_padded_once(graph), _padded_once)


class View(NamedTuple):
    """Slice of ``source``: start, stop and step along each axis."""

    source: Node
    start: tuple[Dim, ...]
    stop: tuple[Dim, ...]
    step: tuple[int, ...]

    @staticmethod
    def of_slice(node: Node) -> View:
        return View(node.operands[0], node["start"], node["stop"], node["step"])

    def within(self, part: View) -> View:
        """Return the view, whose source is ``part``, as a view of the source of ``part``. ``part`` has step 1."""
        start = tuple(a + b for a, b in zip(part.start, self.start, strict=True))
        stop = tuple(a + b for a, b in zip(part.start, self.stop, strict=True))
        return View(part.source, start, stop, self.step)

    def is_whole(self, axis: int) -> bool:
        """True if the view has all positions of an axis of the source."""
        return (self.start[axis], self.stop[axis], self.step[axis]) == (0, self.source.shape[axis], 1)

    def of(self, source: Node, axis: int) -> Node:
        """Return the same slice of another source, with all positions of ``axis``.

        The two sources may differ only in the size of ``axis``.
        """
        stop = (*self.stop[:axis], source.shape[axis], *self.stop[axis + 1 :])
        return make("slice", source, where=source.where, start=self.start, stop=stop, step=self.step)


class Pad(NamedTuple):
    """Concat that pads views of one value along an axis in which the views are whole.

    Attributes:
        views: The views, which are concatenated along the last axis before they are padded.
        inner: Index of the padded operand of the concat. The other operands are constants.
    """

    views: Sequence[View]
    inner: int


def _padded_once(graph: Graph) -> Graph:
    """Return a graph in which sources are padded once; the same graph if no source is padded several times."""
    pads = _pads(graph)
    if not pads:
        return graph
    new: dict[Node, Node] = {}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        pad = pads.get(node)
        if pad is None:
            new[node] = node if operands is node.operands else remake(node, operands)
        else:
            source = pad.views[0].source  # not in ``new`` yet if it is a concat after this node, of operands before it
            rebuilt = new.get(source) or remake(source, [new.get(item, item) for item in source.operands])
            new[node] = _pad_source(node, pad, rebuilt)
        return new[node]

    return rewrite(graph, rule)


def _pad_source(node: Node, pad: Pad, source: Node) -> Node:
    """Return a slice of the padded source, in place of a padded slice; with several views, a concat of slices."""
    axis = node["axis"]
    parts = []
    for number, item in enumerate(node.operands):
        shape = (*source.shape[:axis], item.shape[axis], *source.shape[axis + 1 :])
        filled = make("broadcast", item.operands[0], where=item.where, shape=shape) if number != pad.inner else source
        parts.append(filled)
    whole = make("concat", *parts, where=node.where, name=node.name, axis=axis)
    slices = [view.of(whole, axis) for view in pad.views]
    return slices[0] if len(slices) == 1 else make("concat", *slices, where=node.where, axis=node.tensor.rank - 1)


def _pads(graph: Graph) -> Mapping[Node, Pad]:
    """Return {concat that pads slices of a source: its ``Pad``}, for sources padded more than once along one axis."""
    inner = {node: place for node in graph.nodes if (place := _sequence_index(node)) is not None}
    if not inner:
        return {}
    views = _views(graph, inner)
    pads: dict[Node, Pad] = {}
    for node, place in inner.items():
        pieces = _joined(node.operands[place])
        slices = [views[piece] for piece in pieces if piece in views]
        if len(slices) == len(pieces) and all(_pairs(view, slices[0], node["axis"]) for view in slices):
            pads[node] = Pad(slices, place)
    padded: dict[tuple[Node, int], int] = {}
    for node, pad in pads.items():
        key = pad.views[0].source, node["axis"]
        padded[key] = padded.get(key, 0) + len(pad.views)
    return {node: pad for node, pad in pads.items() if padded[pad.views[0].source, node["axis"]] > 1}


def _pairs(view: View, other: View, axis: int) -> bool:
    """True if two views have one source, and padding along ``axis``, not the last one, can move to the source."""
    return view.source is other.source and view.is_whole(axis) and axis < view.source.tensor.rank - 1


def _sequence_index(node: Node) -> int | None:
    """Return the index of the only operand of a concat that is no broadcast scalar; None for other nodes."""
    if node.op != "concat":
        return None
    inner = [number for number, item in enumerate(node.operands) if not is_scalar_broadcast(item)]
    return inner[0] if len(inner) == 1 and len(node.operands) > 1 else None


def _joined(node: Node) -> Sequence[Node]:
    """Return the operands of a concat along the last axis; for any other node, the node."""
    return node.operands if node.op == "concat" and node["axis"] == node.tensor.rank - 1 else (node,)


def _views(graph: Graph, inner: Mapping[Node, int]) -> dict[Node, View]:
    """Return the slices of a graph as views. ``inner`` has the index of the padded operand of each concat that pads.

    If slices are taken of a concat that pads, its padded operand is a view of the concat, too. Slices of that operand
    are then views of the concat.
    """
    views = {node: View.of_slice(node) for node in graph.nodes if node.op == "slice"}
    parts: dict[Node, View] = {}
    for source in dict.fromkeys(view.source for view in views.values()):
        if source in inner:
            parts.setdefault(source.operands[inner[source]], _as_slice(source, inner[source]))
    within = {node: view.within(parts[view.source]) for node, view in views.items() if view.source in parts}
    return {**parts, **views, **within}


def _as_slice(source: Node, place: int) -> View:
    """Return the bounds of the operand ``place`` of a concat, as a slice of the concat."""
    axis = source["axis"]
    before = sum((item.shape[axis] for item in source.operands[:place]), start=0)
    start: list[Dim] = [0] * source.tensor.rank
    stop = [*source.shape]
    start[axis], stop[axis] = before, before + source.operands[place].shape[axis]
    return View(source, tuple(start), tuple(stop), (1,) * source.tensor.rank)
