"""Description of a declaration, as a ``networkx`` graph and as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..ir.node import Namer, Node, topological
from ..ir.printer import is_literal, operand_text
from ..ir.text.source import assigned_names
from ..support.errors import Where
from ..support.records import dataclass
from ..support.stage_text import StageLine, StageText
from .cell import Cell, Wrapper
from .driver import Driver
from .parameters import ParameterSpec, layer_of
from .placeholders import placeholder_names
from .public_types import public_type

if TYPE_CHECKING:
    import networkx as nx


def _inner_cells(cell: Cell) -> list[Cell]:
    """Return the cells inside a cell: layers of a stack, a wrapper's cell, or cells in attributes."""
    if isinstance(cell, Wrapper):
        return [cell.cell]
    inner: list[Cell] = []
    for value in vars(cell).values():
        if isinstance(value, Cell):
            inner.append(value)
        elif isinstance(value, list | tuple):
            inner += [item for item in value if isinstance(item, Cell)]
    return inner


@dataclass(frozen=True)
class Described:
    """A declaration as a list of nodes and edges with attributes.

    Nodes have ``kind`` (tensor, driver, cell, wrapper, stack or output), ``label``, and ``where``, a ``Where`` or None.
    Tensors and drivers also have ``type`` and ``operands``. Edges have a ``relation``: ``data`` edges run from an
    operand to its user, and ``holds`` edges from a driver or a cell to the cells inside.
    """

    nodes: tuple[tuple[str, dict[str, Any]], ...]
    edges: tuple[tuple[str, str, dict[str, Any]], ...]

    def graph(self) -> nx.DiGraph[str]:
        """Return a networkx graph, with source lines as text."""
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        for name, facts in self.nodes:
            graph.add_node(name, **{**facts, "where": str(facts["where"] or "")})
        for source, target, facts in self.edges:
            graph.add_edge(source, target, **facts)
        return graph

    def text(self) -> StageText:
        """Return an indented list of nodes. The cells of a driver are listed below the driver."""
        places = {name: facts["where"] for name, facts in self.nodes}
        lines = [StageLine("declared")]
        for name, text in _lines(self.graph()):
            where = places.get(name)
            lines.append(StageLine(text, () if where is None else (where,)))
        return StageText(lines)


def described(
    outputs: Sequence[tuple[str, Node]],
    settled: Callable[[Where | None], Where | None],
    parameters: Mapping[ParameterSpec, str],
) -> Described:
    """Return a description of everything on which ``outputs`` depend, cells in drivers included.

    Args:
        outputs: Paths and nodes of the outputs.
        settled: Function that returns a source line with its layer's full name.
        parameters: Full names of parameters.
    """
    nodes: list[tuple[str, dict[str, Any]]] = []
    edges: list[tuple[str, str, dict[str, Any]]] = []
    namer = Namer()
    names: dict[Node, str] = {}

    def add(name: str, kind: str, label: str, where: Where | None, **facts: Any) -> None:
        nodes.append((name, {"kind": kind, "label": label, "where": where, **facts}))

    def add_cells(driver: Driver, parent: str) -> None:
        """Add nodes and edges for a driver's cells, in pre-order, without references of inner cells to outer ones."""
        layers = _layers(driver)
        pending: list[tuple[Cell, str, int]] = [(driver.cell, parent, 0)]
        enclosing: set[int] = set()
        while pending:
            cell, parent, position = pending.pop()
            if position < 0:  # all inner cells are done
                enclosing.remove(id(cell))
                continue
            enclosing.add(id(cell))
            inner = [item for item in _inner_cells(cell) if id(item) not in enclosing]
            kind = "wrapper" if isinstance(cell, Wrapper) else "stack" if len(inner) > 1 else "cell"
            name = namer(f"{parent}/{type(cell).__name__}")
            add(name, kind, repr(cell), settled(_at_layer(cell, layers)))
            edges.append((parent, name, {"relation": "holds", "position": position}))
            pending.append((cell, name, -1))
            pending += [(child, name, number) for number, child in reversed([*enumerate(inner)])]

    order = topological(node for _, node in outputs)
    labels = assigned_names(order) | placeholder_names(order)
    for node in order:
        if is_literal(node):
            continue
        names[node] = namer(labels.get(node) or str(node.get("label", "")) or node.name or node.op)
        kind = "driver" if node.op == "driver" else "tensor"
        operands = tuple(operand_text(operand, names) for operand in node.operands)
        where = settled(node.where)
        if where is not None and (label := parameters.get(node.get("slot"))) is not None:
            where = where.of(layer_of(node["slot"], label))
        add(names[node], kind, node.op, where, type=public_type(node.type), operands=operands)
        for position, operand in enumerate(node.operands):
            if operand in names:
                edges.append((names[operand], names[node], {"relation": "data", "position": position}))
        if node.op == "driver":
            add_cells(node["driver"], names[node])
    for name, node in outputs:
        if node in names:
            add(f"output {name}", "output", name, None)
            edges.append((names[node], f"output {name}", {"relation": "data", "position": 0}))
    return Described(tuple(nodes), tuple(edges))


def _layers(driver: Driver) -> dict[int, list[str]]:
    """Return the layers of each cell in a driver, by the cell's id, in the order of the cell's positions."""
    layers: dict[int, list[str]] = {}
    for cell, layer in dict.fromkeys((id(cell), layer) for cell, layer in driver.source.layers):
        layers.setdefault(cell, []).append(layer)
    return layers


def _at_layer(cell: Cell, layers: Mapping[int, list[str]]) -> Where | None:
    """Return the line that created a cell, with the layer of the cell's next position; None for an unknown line.

    Each call removes a position from ``layers``, except for the last position, which all later calls return.
    """
    left = layers.get(id(cell))
    if cell.where is None or not left:
        return cell.where
    return cell.where.of(left.pop(0) if len(left) > 1 else left[0])


def _lines(graph: nx.DiGraph[str]) -> Iterator[tuple[str, str]]:
    """Yield (name of a node, line of text) for each node of a description."""
    inner: dict[str, list[tuple[int, str]]] = {}  # the cells inside each driver or cell, in order
    for source, target, edge in graph.edges(data=True):
        if edge["relation"] == "holds":
            inner.setdefault(source, []).append((edge["position"], target))

    def cells(driver: str) -> Iterator[tuple[str, str]]:
        """Yield (name, line of text) for each cell in a driver, indented by its depth."""
        pending = [(child, 2) for _, child in sorted(inner.get(driver, ()), reverse=True)]
        seen: set[str] = set()  # a description from a file may be cyclic
        while pending:
            name, depth = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            data = graph.nodes[name]
            where = f"  # {data['where']}" if data["where"] else ""
            yield name, f"{'  ' * depth}{data['label']}{where}"
            pending += [(child, depth + 1) for _, child in sorted(inner.get(name, ()), reverse=True)]

    for name, data in graph.nodes(data=True):
        if data["kind"] not in ("tensor", "driver", "output"):
            continue
        if data["kind"] == "output":
            yield name, f"  {name} = {next(graph.predecessors(name))}"
            continue
        operands = ", ".join(data["operands"])
        if data["kind"] == "driver":  # list its inputs, and only count the parameters, which belong to its cell
            labels = {item: graph.nodes[item]["label"] for item in data["operands"] if item in graph}
            operands = ", ".join(item for item, label in labels.items() if label != "parameter")
            operands += f" with {list(labels.values()).count('parameter')} parameters"
        where = f"  # {data['where']}" if data["where"] else ""
        yield name, f"  {name} = {data['label']}{' ' if operands else ''}{operands} : {data['type']}{where}"
        yield from cells(name)
