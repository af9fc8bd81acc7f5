"""separate_axes: compute over separate axes between a reshape that merges them and one that splits them again.

Nets merge two axes by a reshape, run ops along other axes, and split the merged axis. Two kinds of nets profit if the
axes stay separate in between:

- A layer runs on ``h.reshape(rows * steps, width)``. With separate axes each step reads only its own entries, and the
  net can run step by step in a stream.
- A 2-D convolution over [batch, rows, columns, channels] is a 1-D convolution over [batch * rows, columns, channels].
  If values between the two reshapes are padded or cut, merging copies them. With separate axes they are views.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from ...ir.axes.by_size import counts, time_sizes
from ...ir.graph import Graph, Node, make, map_bodies
from ...ir.node import inverse_order
from ...ir.sizes.polynomial import Dim, product
from ...ir.types import Shape
from ...support.records import dataclass
from .separation import Parts, Separation, Split, op_like, refined

_COPIES = frozenset(("concat", "windows"))
"""Ops along another axis, before which merging two axes may need a copy."""


@dataclass(frozen=True)
class SeparateAxes:
    """Compute over separate axes between a reshape that merges them and one that splits them again.

    Law: values are unchanged, bit for bit.

    Attributes:
        steps: True to keep rows and steps separate, too, so that whole sequences round as streams do.
    """

    name: str = "separate_axes"
    steps: bool = True

    def __call__(self, graph: Graph) -> Graph:
        if self.steps:
            graph = separate_steps(graph, time_sizes(graph))
        return map_bodies(_without_copies(graph), _without_copies)


def separate_steps(graph: Graph, lengths: Set[str]) -> Graph:
    """Return the graph with axes of steps kept separate; the same graph if no axis merges steps with another axis.

    Args:
        graph: Graph to rewrite.
        lengths: Names of the sizes that count steps.
    """
    return _Steps(graph, lengths).build()


class _Steps(Separation):
    """Separation of the axes that merge steps with other axes."""

    def __init__(self, graph: Graph, lengths: Set[str]) -> None:
        super().__init__(graph)
        self.lengths = lengths

    def merged(self, node: Node, shape: Shape) -> Parts | None:
        parts = refined(shape, node.shape)
        return self._only_steps_split(parts) if parts is not None and any(map(self._joins_steps, parts)) else None

    def regrouped(self, node: Node, source: Split) -> Parts | None:
        parts = refined(source.value.shape, node.shape)
        return None if parts is None else self._only_steps_split(parts)

    def _only_steps_split(self, parts: Parts) -> Parts:
        """Return ``parts``, the sizes into which each axis splits, without splits of axes that have no steps.

        The sizes of such an axis are replaced by their product.
        """
        return tuple(sizes if self._has_steps(sizes) else (product(sizes),) for sizes in parts)

    def _has_steps(self, sizes: Sequence[Dim]) -> bool:
        """True if any of the sizes counts steps."""
        return any(counts(dim, self.lengths) for dim in sizes)

    def _joins_steps(self, sizes: Sequence[Dim]) -> bool:
        """True if an axis with these sizes, outermost first, merges steps with another axis.

        Integers may follow the steps, because the axis then still has a fixed number of positions for each step.
        """
        places = [place for place, dim in enumerate(sizes) if counts(dim, self.lengths)]
        others = [place for place, dim in enumerate(sizes) if place not in places and not isinstance(dim, int)]
        return bool(places) and (bool(others) or places[0] > 0)

    def other(self, node: Node) -> Split | None:
        """Return a matrix product of a left operand with separate rows as a batched product; None for other nodes.

        Only one of the separate axes remains the rows of a matrix; the others become batch axes.
        """
        if node.op != "matmul" or len(node.operands) > 2 or node.operands[1] in self.split:
            return None
        left, right = node.operands
        value, parts = self.split[left].value, self.split[left].parts
        *leading, rows, columns = parts
        if right.tensor.rank == 2 or len(columns) > 1 or any(len(sizes) > 1 for sizes in leading):
            return None
        first = len(leading)
        others = [place for place, dim in enumerate(rows) if dim != 1]
        kept = next((place for place in others if not self._has_steps((rows[place],))), len(rows) - 1)
        moved = [place for place in range(len(rows)) if place != kept]
        order = (*(first + place for place in moved), *range(first), first + kept, first + len(rows))
        steps = tuple(rows[place] for place in moved)
        weights = _op_of("broadcast", self.new[right], shape=(*steps, *right.shape))
        products = op_like(node, _op_of("transpose", value, order=order), weights)
        return Split(_op_of("transpose", products, order=inverse_order(order)), (*leading, rows, (node.shape[-1],)))


def _without_copies(graph: Graph) -> Graph:
    """Return the graph in which axes stay separate if merging them may copy; the graph itself if no merge may."""
    ops = [node.op for node in graph.nodes]
    if ops.count("reshape") < 2 or _COPIES.isdisjoint(ops):
        return graph
    every = _Pairs(graph, None)
    every.build()
    return _Pairs(graph, every.copied).build() if every.copied else graph


class _Pairs(Separation):
    """Separation of pairs of axes that one reshape merges and a later reshape splits.

    Args:
        graph: Graph to rewrite.
        merges: Reshapes whose axes stay separate; None for all whose operands depend on inputs.

    Attributes:
        copied: Merging reshapes after which an op may copy, before a later reshape splits the axis again. ``build``
            adds them.
    """

    def __init__(self, graph: Graph, merges: Set[Node] | None) -> None:
        super().__init__(graph)
        self.merges = merges
        self.copied: set[Node] = set()
        self._sources: dict[Node, tuple[Set[Node], bool]] = {}
        self._fed: set[Node] = set()
        """Values that depend on inputs. The axes of weights are merged where their products are computed."""
        for node in graph.nodes:
            if node.op == "input" or not self._fed.isdisjoint(node.operands):
                self._fed.add(node)

    def merged(self, node: Node, shape: Shape) -> Parts | None:
        new = node.shape
        is_asked = node in self._fed if self.merges is None else node in self.merges
        if len(shape) != len(new) + 1 or not is_asked:
            return None
        for axis in range(len(new)):
            if shape[:axis] == new[:axis] and shape[axis + 2 :] == new[axis + 1 :]:
                return *_single(new[:axis]), shape[axis : axis + 2], *_single(new[axis + 1 :])
        return None

    def regrouped(self, node: Node, source: Split) -> Parts | None:
        if source.value.shape == node.shape:
            return _single(node.shape)
        axis = next(axis for axis, sizes in enumerate(source.parts) if len(sizes) > 1)
        if node.shape[: axis + 1] == node.operands[0].shape[: axis + 1]:
            return *source.parts[: axis + 1], *_single(node.shape[axis + 1 :])
        return None

    def note(self, node: Node, is_split: bool) -> None:
        """Record the merging reshapes on which a value depends, and whether an op after them may copy.

        If ``is_split`` is False, the declaration itself splits the axis here. Then add the merging reshapes to
        ``copied`` if an op between may copy.
        """
        sources = [self._sources[item] for item in node.operands if item in self._sources]
        merges = frozenset[Node]().union(*(merges for merges, _ in sources)) or frozenset({node})
        copies = node.op in _COPIES or any(copies for _, copies in sources)
        if is_split:
            self._sources[node] = merges, copies
        elif copies:
            self.copied.update(merges)


def _single(shape: Shape) -> Parts:
    """Return the sizes of axes that are not split."""
    return tuple((dim,) for dim in shape)


def _op_of(op: str, node: Node, **attributes: Any) -> Node:
    """Return an op of one operand, with the operand's line."""
    return make(op, node, where=node.where, **attributes)
