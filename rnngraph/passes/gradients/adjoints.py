"""Adjoints of nodes while a graph is differentiated: what each node has received so far, and its sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...ir.derivatives import adjoints
from ...ir.graph import Node, make
from ...ir.types import FLOATS


def active_nodes(nodes: Iterable[Node], roots: Iterable[Node]) -> set[Node]:
    """The roots, and what depends on them and carries a derivative, as integers and truth values do not."""
    active = set(roots)
    for node in nodes:
        if node in active:
            continue
        if node.op in ("scan", "get"):
            if any(item in active for item in node.operands):
                active.add(node)
        elif node.dtype in FLOATS and any(item in active for item in node.operands):
            active.add(node)
    return active


@dataclass
class Adjoints:
    """What the nodes of a graph receive; only those that a root reaches are ``active``."""

    nodes: Sequence[Node]
    roots: Sequence[Node]
    parts: dict[Node, list[Node]] = field(default_factory=dict)
    slices: dict[Node, list[tuple[Node, Node]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.active = active_nodes(self.nodes, self.roots)
        self.done: dict[Node, Node] = {}

    def add(self, node: Node, adjoint: Node) -> None:
        self.parts.setdefault(node, []).append(adjoint)

    def add_slice(self, node: Node, adjoint: Node) -> None:
        """What a slice's value receives; the operand gets all its slices together."""
        self.slices.setdefault(node.operands[0], []).append((node, adjoint))

    def adjoint(self, node: Node) -> Node | None:
        """The sum of what a node received."""
        if node not in self.done:
            found = _rows_together(self.parts.get(node, []))
            found += _joined(node, self.slices.get(node, []))
            if not found:
                return None
            total = found[0]
            for item in found[1:]:
                total = make("add", total, item, where=node.where)
            self.done[node] = total
        return self.done[node]


def _rows_together(parts: Sequence[Node]) -> list[Node]:
    """What a table receives from steps that were written out one by one is added by one op, not a table for each."""
    steps = [part for part in parts if part.op == "scatter_add" and part.operands[0].tensor.rank == 1]
    if len(steps) < 2 or len({part.operands[0].dtype for part in steps}) > 1:
        return list(parts)
    pairs, where = zip(*(part.operands for part in steps), strict=True), steps[0].where
    indices, rows = (make("concat", *items, where=where, axis=0) for items in pairs)
    together = make("scatter_add", indices, rows, where=where, rows=steps[0]["rows"])
    return [*(part for part in parts if part not in steps), together]


def _joined(node: Node, slices: list[tuple[Node, Node]]) -> list[Node]:
    """What slices of a node give back: side by side where they tile an axis, else each among zeros."""
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
