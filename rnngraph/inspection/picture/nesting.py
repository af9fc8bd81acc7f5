"""Finds the cell of an equation: matches a driver's declared cells with the layers of its step's computations."""

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
"""Maximum depth of boxes; deeper contents are in the innermost one."""


@dataclass(eq=False)
class Held:
    """A cell, or a wrapper with those around it. ``layer`` is of its equations, if found."""

    kind: str
    titles: list[str]
    wheres: list[Where]
    cells: list[Held] = field(default_factory=list)
    layer: str = ""
    rows: list[Equation] = field(default_factory=list)

    def walk(self) -> Iterator[Held]:
        """Yield a box and all boxes inside, each before its parts."""
        pending = [self]
        while pending:
            held = pending.pop()
            yield held
            pending += reversed(held.cells)


class HeldCells:
    """Outermost cells of all drivers, which scans of their lines take in order of declaration."""

    def __init__(self, described: Described) -> None:
        facts = dict(described.nodes)
        inner: dict[str, list[str]] = {}
        for source, target, edge in described.edges:
            if edge["relation"] == "holds":
                inner.setdefault(source, []).append(target)
        self._left: list[tuple[Where | None, Held]] = []
        for name, fact in described.nodes:
            if fact["kind"] == "driver" and inner.get(name):
                self._left.append((fact["where"], _held(inner[name][0], facts, inner)))

    def take(self, scan: Node) -> Held | None:
        """Return the cell that ``scan`` runs; None if no driver is at its line."""
        for place, (where, held) in enumerate(self._left):
            if _line(where) == _line(scan.where):
                del self._left[place]
                return held
        return None


def _line(where: Where | None) -> tuple[str, int] | None:
    return (where.file, where.line) if where else None


def _held(name: str, facts: Mapping[str, Mapping[str, object]], inner: Mapping[str, Sequence[str]]) -> Held:
    """Return a cell with those inside. Directly nested wrappers are one. Cells in a file may contain themselves."""
    top = Held("", [], [])
    pending: list[tuple[str, Held, int]] = [(name, top, 0)]
    visited: set[str] = set()
    while pending:
        name, into, depth = pending.pop(0)
        if name in visited:
            continue
        visited.add(name)
        fact, where = facts[name], facts[name]["where"]
        if into.kind == "wrapper" == fact["kind"]:
            held = into
        else:
            held = Held(str(fact["kind"]), [], [])
            into.cells.append(held)
        held.titles.append(str(fact["label"]))
        held.wheres += [where] if isinstance(where, Where) else []
        if depth < MAX_NESTED or held.kind == "wrapper":
            pending += [(child, held, depth + (held is not into)) for child in inner.get(name, ())]
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


def nested(root: Held | None, facts: DriverFacts, rows: Sequence[Equation], states: Mapping[Node, State]) -> Box:
    """Return the box of a driver.

    Args:
        root: Its cell.
        rows: Equations of a step, in order.
        states: Carried states, by the node of the next value.
    """
    title, where = facts.title, facts.where
    top = Held("driver", [title] if title else [], [where] if where else [], [root] if root else [])
    if root is not None and root.kind == "stack":
        top.titles, top.cells = root.titles, root.cells
    _find_layers(top, rows)
    for row in rows:
        _place_of(row, top).rows.append(row)
    order = {row.node: number for number, row in enumerate(rows)}
    return _Nest(order, states, facts.in_inference).box(top, facts.key, facts.note)


def _find_layers(top: Held, rows: Sequence[Equation]) -> None:
    """Give each cell the first free layer with its class's name, inside the layer of the cell around it."""
    free = dict.fromkeys(layer for row in rows if (layer := layer_of(row.node)))
    around: list[tuple[Held, str]] = [(top, "")]
    while around:
        held, outer = around.pop()
        wanted = snake_case(held.titles[-1].partition("(")[0]) if held.kind in ("cell", "stack") and held.titles else ""
        for layer in free if wanted else ():
            match = re.sub(r"_\d+$", "", layer.rpartition("/")[2])
            if match == wanted and layer.startswith(outer):
                held.layer = layer
                del free[layer]
                break
        around += [(cell, f"{held.layer}/" if held.layer else outer) for cell in reversed(held.cells)]


def _place_of(row: Equation, top: Held) -> Held:
    """Return the innermost box of an equation: a cell of its layer, or the box around only cells of it."""
    layer, place = layer_of(row.node), top
    while layer:
        for cell in place.cells:
            layers = [held.layer for held in cell.walk() if held.layer]
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


def _is_below(layer: str, wrapper: Held) -> bool:
    """True if ``layer`` belongs to a cell in a wrapper."""
    return any(layer == held.layer or layer.startswith(f"{held.layer}/") for held in wrapper.walk() if held.layer)


class _Nest:
    """Boxes of one driver."""

    def __init__(self, order: Mapping[Node, int], states: Mapping[Node, State], inference: bool) -> None:
        self.order, self.states, self.inference = order, dict(states), inference

    def box(self, held: Held, key: str, note: str = "") -> Box:
        """Return the box of ``held``. The driver has all states that no equation computes."""
        cells = [self.box(cell, f"{key}.{number}") for number, cell in enumerate(held.cells)]
        items: list[Equation | Box] = [*held.rows, *cells]
        items.sort(key=self._first)
        states = [self.states.pop(row.node) for row in held.rows if row.node in self.states]
        if held.kind == "driver":
            states += self.states.values()
        # a wrapper that computes nothing in inference is absent
        is_idle = held.kind == "wrapper" and held.rows and not any(row.inference for row in held.rows)
        inference = self.inference and not is_idle
        wheres = dict.fromkeys([*held.wheres, *(row.node.where for row in held.rows if row.node.where)])
        return Box(
            key,
            held.kind,
            tuple(held.titles),
            note,
            held.layer,
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
        """Return the type of the value that each box reads from the box directly before it, by index."""
        joins: dict[int, str] = {}
        for number in range(1, len(items)):
            before, after = items[number - 1], items[number]
            if isinstance(before, Box) and isinstance(after, Box):
                computed = {row.node for row in _rows(before)}
                taken = [node for row in _rows(after) for node in row.reads if node in computed]
                if taken:
                    joins[number] = type_text(taken[0].type)
        return joins


def _rows(box: Box) -> list[Equation]:
    return [item for inner in box.walk() for item in inner.items if isinstance(item, Equation)]
