"""Assignment of equations to cells: matches a driver's declared cells with the layers of its step's equations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...declare.call_text import snake_case
from ...declare.description import Described
from ...ir.node import Node
from ...support.errors import Where
from .boxes import Box, State
from .expressions import Equation
from .node_texts import layer_of, type_text

MAX_NESTED = 40
"""Maximum depth of boxes. Deeper contents are drawn in the box at this depth."""


@dataclass(eq=False)
class NestedCell:
    """A cell, or directly nested wrappers as one. ``layer`` is the layer of the equations; "" if unknown."""

    kind: str
    titles: list[str]
    wheres: list[Where]
    cells: list[NestedCell] = field(default_factory=list)
    layer: str = ""
    rows: list[Equation] = field(default_factory=list)

    def walk(self) -> Iterator[NestedCell]:
        """Yield a cell and all cells inside, each before its parts."""
        pending = [self]
        while pending:
            cell = pending.pop()
            yield cell
            pending += reversed(cell.cells)


class DriverCells:
    """Outermost cell of each driver. Scans on one line of the script take its cells in order of declaration."""

    def __init__(self, described: Described) -> None:
        facts = dict(described.nodes)
        inner: dict[str, list[str]] = {}
        for source, target, edge in described.edges:
            if edge["relation"] == "holds":
                inner.setdefault(source, []).append(target)
        self._left: list[tuple[Where | None, NestedCell]] = []
        for name, fact in described.nodes:
            if fact["kind"] == "driver" and inner.get(name):
                self._left.append((fact["where"], _nested_cell(inner[name][0], facts, inner)))

    def take(self, scan: Node) -> NestedCell | None:
        """Return the cell that a scan runs, by the scan's line of the script; None if no cell is known."""
        for place, (where, cell) in enumerate(self._left):
            if _line(where) == _line(scan.where):
                del self._left[place]
                return cell
        return None


def _line(where: Where | None) -> tuple[str, int] | None:
    return (where.file, where.line) if where else None


def _nested_cell(
    name: str, facts: Mapping[str, Mapping[str, object]], inner: Mapping[str, Sequence[str]]
) -> NestedCell:
    """Return the cell ``name`` with all cells inside it. Directly nested wrappers become one.

    A cell that contains itself, as a malformed file may declare, is cut off.
    """
    top = NestedCell("", [], [])
    pending: list[tuple[str, NestedCell, int]] = [(name, top, 0)]
    visited: set[str] = set()
    while pending:
        name, into, depth = pending.pop(0)
        if name in visited:
            continue
        visited.add(name)
        fact, where = facts[name], facts[name]["where"]
        if into.kind == "wrapper" == fact["kind"]:
            cell = into
        else:
            cell = NestedCell(str(fact["kind"]), [], [])
            into.cells.append(cell)
        cell.titles.append(str(fact["label"]))
        cell.wheres += [where] if isinstance(where, Where) else []
        if depth < MAX_NESTED or cell.kind == "wrapper":
            pending += [(child, cell, depth + (cell is not into)) for child in inner.get(name, ())]
    return top.cells[0]


class DriverFacts(NamedTuple):
    """Facts of a driver's box.

    Attributes:
        key: Key of the box.
        title: Title unless the cell is a stack.
        note: Note beneath the title.
        where: Line of the driver.
        in_inference: The inference graph has it.
    """

    key: str
    title: str
    note: str
    where: Where | None
    in_inference: bool


def nested(root: NestedCell | None, facts: DriverFacts, rows: Sequence[Equation], states: Mapping[Node, State]) -> Box:
    """Return the picture's box of a recurrence, with boxes of its cells and the equations of a step inside.

    Args:
        root: Cell of the driver; None if unknown.
        rows: Equations of a step, in order.
        states: Carried states, by the node of the next value.
    """
    title, where = facts.title, facts.where
    top = NestedCell("driver", [title] if title else [], [where] if where else [], [root] if root else [])
    if root is not None and root.kind == "stack":
        top.titles, top.cells = root.titles, root.cells
    _find_layers(top, rows)
    for row in rows:
        _place_of(row, top).rows.append(row)
    order = {row.node: number for number, row in enumerate(rows)}
    return _Nest(order, states, facts.in_inference).box(top, facts.key, facts.note)


def _find_layers(top: NestedCell, rows: Sequence[Equation]) -> None:
    """Set the layer of each cell: the first free one with the class's name, inside the outer cell's layer."""
    free = dict.fromkeys(layer for row in rows if (layer := layer_of(row.node)))
    around: list[tuple[NestedCell, str]] = [(top, "")]
    while around:
        cell, outer = around.pop()
        wanted = snake_case(cell.titles[-1].partition("(")[0]) if cell.kind in ("cell", "stack") and cell.titles else ""
        for layer in free if wanted else ():
            match = re.sub(r"_\d+$", "", layer.rpartition("/")[2])
            if match == wanted and layer.startswith(outer):
                cell.layer = layer
                del free[layer]
                break
        around += [(inner, f"{cell.layer}/" if cell.layer else outer) for inner in reversed(cell.cells)]


def _place_of(row: Equation, top: NestedCell) -> NestedCell:
    """Return the innermost cell within ``top`` whose layer contains an equation.

    The cell is that of the equation's layer, or one around cells whose layers all lie within that layer.
    """
    layer, place = layer_of(row.node), top
    while layer:
        for cell in place.cells:
            layers = [inner.layer for inner in cell.walk() if inner.layer]
            if any(layer == own or layer.startswith(f"{own}/") for own in layers):
                break
            if layers and all(own.startswith(f"{layer}/") for own in layers) and place.kind != "wrapper":
                break
        else:
            break
        place = cell
        if place.layer == layer or (not place.layer and place.kind == "wrapper" and not _is_below(layer, place)):
            break
    return place


def _is_below(layer: str, wrapper: NestedCell) -> bool:
    """True if ``layer`` belongs to a cell in a wrapper."""
    return any(layer == cell.layer or layer.startswith(f"{cell.layer}/") for cell in wrapper.walk() if cell.layer)


class _Nest:
    """Boxes of one driver."""

    def __init__(self, order: Mapping[Node, int], states: Mapping[Node, State], inference: bool) -> None:
        self.order, self.states, self.inference = order, dict(states), inference

    def box(self, cell: NestedCell, key: str, note: str = "") -> Box:
        """Return the picture's box of a cell, with its equations, states and inner cells."""
        cells = [self.box(inner, f"{key}.{number}") for number, inner in enumerate(cell.cells)]
        items: list[Equation | Box] = [*cell.rows, *cells]
        items.sort(key=self._first)
        states = [self.states.pop(row.node) for row in cell.rows if row.node in self.states]
        if cell.kind == "driver":
            states += self.states.values()
        # inference omits a wrapper that computes nothing there
        is_idle = cell.kind == "wrapper" and cell.rows and not any(row.inference for row in cell.rows)
        inference = self.inference and not is_idle
        wheres = dict.fromkeys([*cell.wheres, *(row.node.where for row in cell.rows if row.node.where)])
        return Box(
            key,
            cell.kind,
            tuple(cell.titles),
            note,
            cell.layer,
            tuple(items),
            self._joins(items),
            tuple(states),
            tuple(wheres),
            inference=inference,
        )

    def _first(self, item: Equation | Box) -> int:
        if isinstance(item, Equation):
            return self.order[item.node]
        return min((self.order[row.node] for row in _rows(item)), default=len(self.order))

    def _joins(self, items: Sequence[Equation | Box]) -> dict[int, str]:
        """Return {index of a box: type of the value that the box reads from the box directly before it}."""
        joins: dict[int, str] = {}
        for number in range(1, len(items)):
            before, after = items[number - 1], items[number]
            if isinstance(before, Box) and isinstance(after, Box):
                computed = {row.node for row in _rows(before)}
                joined = [node for row in _rows(after) for node in row.reads if node in computed]
                if joined:
                    joins[number] = type_text(joined[0].type)
        return joins


def _rows(box: Box) -> list[Equation]:
    return [item for inner in box.walk() for item in inner.items if isinstance(item, Equation)]
