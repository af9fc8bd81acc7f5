"""The declaration as a ``networkx`` graph and as text: drivers, stacks, wrappers, cells and tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import networkx as nx

from ..ir.graph import Namer, Node, topological
from ..ir.printer import is_literal, operand_text
from ..ir.source import assigned_names
from .cell import Cell, Wrapper
from .drivers import Driver
from .placeholders import placeholder_names
from .tensor import public_type


def _inner_cells(cell: Cell) -> list[Cell]:
    """Cells that a cell is made of: a stack's positions, a wrapper's cell, a user's own parts."""
    if isinstance(cell, Wrapper):
        return [cell.cell]
    found: list[Cell] = []
    for value in vars(cell).values():
        if isinstance(value, Cell):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [item for item in value if isinstance(item, Cell)]
    return found


def declared_graph(outputs: Sequence[tuple[str, Node]]) -> nx.DiGraph[str]:
    """Nodes have ``kind`` (tensor, driver, cell, wrapper, stack or output), ``label`` and ``where``; tensors
    and drivers also ``type`` and, in their order, ``operands``.

    Edges of ``relation`` data run from operand to user; those of ``holds`` from a driver or cell to the cells
    inside it.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    namer = Namer()
    names: dict[Node, str] = {}

    def add_cell(cell: Cell, parent: str, position: int) -> None:
        inner = _inner_cells(cell)
        kind = "wrapper" if isinstance(cell, Wrapper) else "stack" if len(inner) > 1 else "cell"
        name = namer(f"{parent}/{type(cell).__name__}")
        graph.add_node(name, kind=kind, label=repr(cell), where=str(cell.where or ""))
        graph.add_edge(parent, name, relation="holds", position=position)
        for number, child in enumerate(inner):
            add_cell(child, name, number)

    order = topological(node for _, node in outputs)
    labels = assigned_names(order) | placeholder_names(order)
    for node in order:
        if is_literal(node):
            continue
        names[node] = namer(labels.get(node) or str(node.get("label", "")) or node.name or node.op)
        kind = "driver" if node.op == "driver" else "tensor"
        given = tuple(operand_text(operand, names) for operand in node.operands)
        graph.add_node(
            names[node], kind=kind, label=node.op, type=public_type(node.type), where=str(node.where or ""),
            operands=given,
        )  # fmt: skip
        for position, operand in enumerate(node.operands):
            if operand in names:
                graph.add_edge(names[operand], names[node], relation="data", position=position)
        if node.op == "driver":
            driver: Driver = node["driver"]
            add_cell(driver.cell, names[node], 0)
    for name, node in outputs:
        if node in names:
            graph.add_node(f"output {name}", kind="output", label=name, where="")
            graph.add_edge(names[node], f"output {name}", relation="data", position=0)
    return graph


def declared_text(outputs: Sequence[tuple[str, Node]]) -> str:
    """The declaration as an indented list, cells under the drivers that run them."""
    graph = declared_graph(outputs)

    def lines(name: str, depth: int) -> Iterator[str]:
        data = graph.nodes[name]
        where = f"  # {data['where']}" if data["where"] else ""
        yield f"{'  ' * depth}{data['label']}{where}"
        children = [
            (edge["position"], child)
            for _, child, edge in graph.out_edges(name, data=True)
            if edge["relation"] == "holds"
        ]
        for _, child in sorted(children):
            yield from lines(child, depth + 1)

    text = ["declared"]
    for name, data in graph.nodes(data=True):
        if data["kind"] not in ("tensor", "driver", "output"):
            continue
        if data["kind"] == "output":
            text.append(f"  {name} = {next(graph.predecessors(name))}")
            continue
        operands = ", ".join(data["operands"])
        if data["kind"] == "driver":  # numbers and parameters belong to what is inside the cell
            labels = {item: graph.nodes[item]["label"] for item in data["operands"] if item in graph}
            operands = ", ".join(item for item, label in labels.items() if label != "parameter")
            operands += f" with {list(labels.values()).count('parameter')} parameters"
        where = f"  # {data['where']}" if data["where"] else ""
        text.append(f"  {name} = {data['label']}{' ' if operands else ''}{operands} : {data['type']}{where}")
        for _, child, edge in graph.out_edges(name, data=True):
            if edge["relation"] == "holds":
                text += lines(child, 2)
    return "\n".join(text) + "\n"
