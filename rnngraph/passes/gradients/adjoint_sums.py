"""Adjoints during differentiation: contributions to each node, and their sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field

from ...ir.derivatives import adjoints
from ...ir.graph import Node, make
from ...ir.types import DIFFERENTIABLE
from ...support.records import dataclass


def active_nodes(nodes: Iterable[Node], roots: Iterable[Node]) -> set[Node]:
    """Return the roots, and all nodes of a differentiable dtype that depend on them, through such nodes only.

    Scans and their results are active regardless of dtype. ``nodes`` are in order, operands first.
    """
    active = set(roots)
    for node in nodes:
        if node in active:
            continue
        if node.op in ("scan", "get"):
            if any(item in active for item in node.operands):
                active.add(node)
        elif node.dtype in DIFFERENTIABLE and any(item in active for item in node.operands):
            active.add(node)
    return active


@dataclass
class Adjoints:
    """Accumulator of the adjoints of a graph's nodes.

    Attributes:
        nodes: Nodes of the graph, operands first.
        roots: Nodes with respect to which gradients are computed.
        parts: Contributions to the adjoint of a node.
        slices: Slices of a node, with their adjoints.
        active: Nodes that depend on a root, and therefore have adjoints.
    """

    nodes: Sequence[Node]
    roots: Sequence[Node]
    parts: dict[Node, list[Node]] = field(default_factory=dict)
    slices: dict[Node, list[tuple[Node, Node]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.active = active_nodes(self.nodes, self.roots)
        self.done: dict[Node, Node] = {}

    def add(self, node: Node, adjoint: Node) -> None:
        """Record a contribution to the adjoint of a node."""
        self.parts.setdefault(node, []).append(adjoint)

    def add_slice(self, node: Node, adjoint: Node) -> None:
        """Record the adjoint of a slice. ``self.adjoint`` combines those of all slices of an operand."""
        self.slices.setdefault(node.operands[0], []).append((node, adjoint))

    def adjoint(self, node: Node) -> Node | None:
        """Return a node's adjoint, the sum of the gradients from all its readers; None if there are none."""
        if node not in self.done:
            contributions = _rows_together(self.parts.get(node, []))
            contributions += _join_slices(node, self.slices.get(node, []))
            if not contributions:
                return None
            total = contributions[0]
            for item in contributions[1:]:
                total = make("add", total, item, where=node.where)
            self.done[node] = total
        return self.done[node]


def _rows_together(parts: Sequence[Node]) -> list[Node]:
    """Merge the ``scatter_add`` ops among a sum's terms into one, because each of them needs memory for a whole table.

    Other contributions are unchanged, and so are ops whose indices differ in dtype.
    """
    steps = [part for part in parts if part.op == "scatter_add" and part.operands[0].tensor.rank == 1]
    if len(steps) < 2 or len({part.operands[0].dtype for part in steps}) > 1:
        return list(parts)
    pairs, where = zip(*(part.operands for part in steps), strict=True), steps[0].where
    indices, rows = (make("concat", *items, where=where, axis=0) for items in pairs)
    together = make("scatter_add", indices, rows, where=where, rows=steps[0]["rows"])
    return [*(part for part in parts if part not in steps), together]


def _join_slices(node: Node, slices: list[tuple[Node, Node]]) -> list[Node]:
    """Return the terms of a node's gradient that come from the gradients of slices of it, given as (slice, gradient).

    If the slices tile an axis, return one concatenation of their adjoints, else each adjoint padded with zeros.
    """
    if not slices:
        return []
    for axis in range(node.tensor.rank):
        ordered = sorted(slices, key=lambda pair: str(pair[0]["start"][axis]).zfill(12))
        ends = [pair[0]["stop"][axis] for pair in ordered]
        begins = [pair[0]["start"][axis] for pair in ordered]
        tiles = begins[0] == 0 and ends[-1] == node.shape[axis] and begins[1:] == ends[:-1]
        others = all(
            pair[0].shape[other] == node.shape[other]
            for pair in ordered
            for other in range(node.tensor.rank)
            if other != axis
        )
        if tiles and others:
            return [make("concat", *(g for _, g in ordered), where=node.where, axis=axis)]
    return [part for inner, g in slices for part in adjoints(inner, g) if part is not None]
