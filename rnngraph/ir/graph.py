"""Immutable graphs in SSA form and topological order, and functions that build nodes and rewrite graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..support.display.html import code
from ..support.errors import Where
from ..support.records import dataclass
from ..support.stage_text import StageText
from .node import OPS, walk
from .node import Node as Node  # re-exported with the functions that build nodes
from .node import dependents as dependents
from .node import topological as topological
from .printer import graph_text, networkx_graph
from .types import NARROW, Dim, Size, TensorType, TupleType, Type, Unify, substitute, symbols_of, unify_strict

if TYPE_CHECKING:
    import networkx as nx  # slow to import and rarely used


def make(
    op: str,
    *operands: Node,
    where: Where | None = None,
    name: str = "",
    unify: Unify = unify_strict,
    **attributes: Any,
) -> Node:
    """Build a node. The type rule of the op infers its type.

    Args:
        op: Name of the op.
        *operands: Operands of the node.
        where: Line of the user's script.
        name: Name of the value.
        unify: Rule for sizes that must be equal.
        **attributes: Attributes of the op.

    Raises:
        ValueError: The operands do not fit the op.
        TypeError: The op has no rule for the dtypes of the operands.
    """
    ordered = tuple(sorted(attributes.items()))
    inferred = OPS[op].infer([operand.type for operand in operands], attributes, unify)
    node = Node(op, operands, inferred, ordered, where, name)
    if unify is unify_strict:
        object.__setattr__(node, "is_inferred", True)
    return node


def zero(dtype: str) -> Node:
    """Return a scalar 0. In a narrow dtype, which no constant has, it is a cast."""
    number = make("constant", value=np.zeros((), "float32" if dtype in NARROW else dtype))
    return make("cast", number, dtype=dtype) if dtype in NARROW else number


def implied(condition: Node, source: Callable[[Node], Node] = lambda node: node) -> Iterator[Node]:
    """Yield the bool nodes that are true if ``condition`` is: itself, and operands of each ``and``.

    ``source`` is applied to each condition before it is examined.
    """
    pending, seen = [condition], set[Node]()
    while pending:
        node = source(pending.pop())
        if node in seen:
            continue
        seen.add(node)
        yield node
        if node.op == "and":
            pending += reversed(node.operands)


def remake(node: Node, operands: Sequence[Node], unify: Unify = unify_strict) -> Node:
    """Return ``node`` with other operands, its type inferred anew; ``node`` itself if the operands are the same."""
    operands = tuple(operands)
    if operands == node.operands:
        return node
    # If the operands have the same types as before, the inferred type is unchanged.
    if unify is unify_strict and all(map(_same_type, operands, node.operands)):
        return with_operands(node, operands, node.where)
    return make(node.op, *operands, where=node.where, name=node.name, unify=unify, **dict(node.attributes))


def with_operands(node: Node, operands: tuple[Node, ...], where: Where | None) -> Node:
    """Return ``node`` with other operands, of the same types, at the source line ``where``."""
    moved = Node(node.op, operands, node.type, node.attributes, where, node.name)
    object.__setattr__(moved, "is_inferred", node.is_inferred)
    return moved


def _same_type(one: Node, other: Node) -> bool:
    return one.type is other.type or one.type == other.type


@dataclass(frozen=True, eq=False)
class Graph:
    """An immutable graph.

    Attributes:
        name: Name of the graph.
        inputs: Inputs and parameters, in order.
        nodes: All nodes in topological order, inputs included.
        outputs: Names and values of the outputs.
        comments: Notes for readers of the printed form, such as what a pass removed.
        live: True if the graph is known to have no dead nodes, except inputs.
        simplified: True if the graph is known to be a fixed point of ``simplify``.
    """

    name: str
    inputs: tuple[Node, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[tuple[str, Node], ...]
    comments: tuple[str, ...] = ()
    live: bool = field(default=False, repr=False)
    simplified: bool = field(default=False, repr=False)

    @staticmethod
    def of(
        name: str,
        outputs: Iterable[tuple[str, Node]],
        inputs: Iterable[Node] = (),
        comments: tuple[str, ...] = (),
    ) -> Graph:
        """Build the graph of all nodes that ``outputs`` depend on.

        ``inputs`` are kept even if unused. Further inputs on which outputs depend follow them.
        """
        outputs = tuple(outputs)
        inputs = tuple(inputs)
        reached = topological((*inputs, *(node for _, node in outputs)))
        known = set(map(id, inputs))
        inputs += tuple(node for node in reached if node.op in ("input", "parameter") and id(node) not in known)
        first = set(inputs)
        nodes = (*inputs, *(node for node in reached if node not in first))
        return Graph(name, inputs, nodes, outputs, comments, live=True)

    def output(self, name: str) -> Node:
        """Return an output by name, which must exist."""
        return next(node for key, node in self.outputs if key == name)

    def users(self) -> dict[Node, list[Node]]:
        """Return the nodes that read each node, once for each of their operands that is the node."""
        table: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for operand in node.operands:
                table[operand].append(node)
        return table

    @property
    def symbols(self) -> list[str]:
        """Symbols in types and attributes, including bodies of scans, in order of appearance."""
        return list(self._symbols)

    @cached_property
    def _symbols(self) -> dict[str, None]:
        return dict.fromkeys(name for node in self.nodes for name in symbols_of_node(node))

    def read_inputs(self) -> tuple[Node, ...]:
        """Return the inputs that nodes read, or whose shape determines a symbol that nodes need."""
        return self._read_inputs

    @cached_property
    def _read_inputs(self) -> tuple[Node, ...]:
        users, outputs = self.users(), {node for _, node in self.outputs}
        read = {node for node in self.inputs if users[node] or node in outputs}
        known = {name for node in read for name in node.tensor.plain_symbols}
        computed = self._computed_symbols
        for node in self.inputs:
            if node not in read and (node.tensor.plain_symbols - known) & computed:
                read.add(node)
                known |= node.tensor.plain_symbols
        return tuple(node for node in self.inputs if node in read)

    @property
    def _computed_symbols(self) -> set[str]:
        inputs = set(self.inputs)
        return {name for node in self.nodes if node not in inputs for name in symbols_of_node(node)}

    def walk(self) -> Iterator[Node]:
        """Yield every node. The nodes of a scan's body follow the scan."""
        return walk(self.nodes)

    def networkx(self) -> nx.MultiDiGraph[str]:
        """Return a ``networkx.MultiDiGraph``. Nodes of a scan's body have the prefix ``name/``."""
        return networkx_graph(self.name, self.nodes, self.outputs)

    def dot(self) -> str:
        """Return the graph in Graphviz's DOT language, with layers and scans as clusters."""
        from .dot import dot_text  # rarely needed

        return dot_text(self.name, self.nodes, self.outputs)

    def __str__(self) -> str:
        return str.__str__(self.text())

    def text(self) -> StageText:
        """Return the printed form, with the source line of each printed line."""
        return graph_text(self.name, self.nodes, self.outputs, self.comments)

    def _repr_html_(self) -> str:
        return code(str(self))


def _ordered_symbols(kind: Type) -> Iterator[str]:
    items = kind.items if isinstance(kind, TupleType) else (kind,)
    for item in items:
        for dim in item.shape:
            if isinstance(dim, Size):
                yield from sorted(dim.symbols)


def symbols_of_node(node: Node) -> Iterator[str]:
    """Yield the symbols in a node's type, attributes and bodies."""
    yield from _ordered_symbols(node.type)
    for key, value in node.attributes:
        if key != "type":
            yield from _symbols_of_attribute(value)


def _symbols_of_attribute(value: Any) -> Iterator[str]:
    """Yield the symbols in an attribute's value, also in tuples and bodies."""
    if isinstance(value, Size):
        yield from sorted(symbols_of(value))
    elif isinstance(value, tuple):
        for item in value:
            yield from _symbols_of_attribute(item)
    elif isinstance(value, Graph):
        yield from value._symbols


Rule = Callable[[Node, tuple[Node, ...]], Node | None]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Return ``graph`` with every node replaced by what ``rule`` returns for it, operands first.

    Args:
        graph: Graph to rewrite.
        rule: Function from a node and its new operands to a replacement, or to None to keep the node with these
            operands.

    Returns:
        The new graph, or ``graph`` itself if nothing changed.
    """
    changed: dict[Node, Node] = {}
    for node in graph.nodes:
        operands = node.operands
        if changed and not changed.keys().isdisjoint(operands):
            operands = tuple([changed.get(operand, operand) for operand in operands])
        replacement = rule(node, operands)
        if replacement is None and operands is not node.operands:
            replacement = remake(node, operands)
        if replacement is not None and replacement is not node:
            changed[node] = replacement
    return rebuilt(graph, changed)


def rebuilt(graph: Graph, changed: Mapping[Node, Node]) -> Graph:
    """Return ``graph`` with the nodes of ``changed`` replaced, and without dead nodes."""
    if not changed:
        roots = (*graph.inputs, *(node for _, node in graph.outputs))
        if graph.live or len(topological(roots)) == len(graph.nodes):
            return graph
    outputs = tuple((name, changed.get(node, node)) for name, node in graph.outputs)
    inputs = tuple([changed.get(node, node) for node in graph.inputs])
    return Graph.of(graph.name, outputs, inputs, graph.comments)


def map_bodies(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """Return ``graph`` with ``change`` applied to the body of every scan, innermost first."""
    if graph.live and all(node.op != "scan" for node in graph.nodes):
        return graph

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op != "scan":
            return None
        body = node["body"]
        changed = change(map_bodies(body, change))
        if changed is body:
            return None
        return with_body(node, operands, changed)

    return rewrite(graph, rule)


def with_body(scan: Node, operands: Sequence[Node], body: Graph) -> Node:
    """Return a scan with other operands and another body of the same signature."""
    return make("scan", *operands, where=scan.where, name=scan.name, **dict(scan.attributes) | {"body": body})


def with_attributes(node: Node, **changes: Any) -> Node:
    """Return ``node`` with changed attributes."""
    attributes = {**dict(node.attributes), **changes}
    return make(node.op, *node.operands, where=node.where, name=node.name, **attributes)


def substitute_attribute(value: Any, sizes: Mapping[str, Dim]) -> Any:
    """Return an attribute's value with symbols replaced by ``sizes``, also in types, tuples and bodies."""
    if isinstance(value, Size):
        return substitute(value, sizes)
    if isinstance(value, TensorType):
        return TensorType(value.dtype, tuple(substitute(dim, sizes) for dim in value.shape))
    if isinstance(value, tuple):
        return tuple(substitute_attribute(item, sizes) for item in value)
    if isinstance(value, Graph):
        return with_sizes(value, sizes)
    return value


def with_sizes(graph: Graph, sizes: Mapping[str, Dim]) -> Graph:
    """Return ``graph`` with symbols replaced by ``sizes`` in all types and attributes."""
    if not sizes:
        return graph

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        symbols = node.type.symbols
        attributes = {key: substitute_attribute(value, sizes) for key, value in node.attributes}
        same = all(attributes[key] is value or attributes[key] == value for key, value in node.attributes)
        if same and not any(name in sizes for name in symbols):
            return None
        return make(node.op, *operands, where=node.where, name=node.name, **attributes)

    return rewrite(graph, rule)


def with_lines(roots: Sequence[Node], fixed: Iterable[Node], line: Callable[[Node], Where | None]) -> list[Node]:
    """Return ``roots`` with source lines set by ``line`` on all nodes that they depend on, except for ``fixed``."""
    new = {node: node for node in fixed}
    _at_lines(roots, new, line)
    return [new[node] for node in roots]


def _at_lines(roots: Iterable[Node], new: dict[Node, Node], line: Callable[[Node], Where | None]) -> None:
    for node in topological(roots, known=new):
        moved = node
        if node.op == "scan":
            attributes = dict(node.attributes) | {"body": _body(node["body"], line)}
            moved = replace(node, attributes=tuple(attributes.items()))
        new[node] = with_operands(moved, tuple([new[operand] for operand in node.operands]), line(node))


def _body(body: Graph, line: Callable[[Node], Where | None]) -> Graph:
    new: dict[Node, Node] = {}
    _at_lines(body.nodes, new, line)
    inputs, nodes = (tuple(new[node] for node in part) for part in (body.inputs, body.nodes))
    return replace(body, inputs=inputs, nodes=nodes, outputs=tuple((name, new[node]) for name, node in body.outputs))
