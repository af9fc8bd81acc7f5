"""Graphs: frozen, in SSA form, in topological order; how nodes are made, and how a graph is rewritten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..support.display.html import code
from ..support.errors import Where
from ..support.stage_text import StageText
from .dot import dot_text
from .node import OPS, walk
from .node import Node as Node  # from here as well: whoever makes nodes reads them
from .node import dependents as dependents
from .node import topological as topological
from .printer import graph_text, networkx_graph
from .types import Dim, Meet, Size, TensorType, TupleType, Type, meet_strict, substitute, symbols_of

if TYPE_CHECKING:
    import networkx as nx  # a third of this package's time to import, and few ask for it


def make(
    op: str,
    *operands: Node,
    where: Where | None = None,
    name: str = "",
    meet: Meet = meet_strict,
    **attributes: Any,
) -> Node:
    """A node with the type that its op's row in the table infers. Raises ``ValueError`` where it can't."""
    ordered = tuple(sorted(attributes.items()))
    inferred = OPS[op].infer([operand.type for operand in operands], attributes, meet)
    return Node(op, operands, inferred, ordered, where, name)


def implied(condition: Node, source: Callable[[Node], Node] = lambda node: node) -> Iterator[Node]:
    """Conditions that hold wherever ``condition`` does, as that one itself. source: what a value is a view of."""
    pending, seen = [condition], set[Node]()
    while pending:
        node = source(pending.pop())
        if node in seen:
            continue
        seen.add(node)
        yield node
        if node.op == "and":
            pending += reversed(node.operands)


def remake(node: Node, operands: Sequence[Node], meet: Meet = meet_strict) -> Node:
    """``node`` over other operands; the same object where they are the same."""
    operands = tuple(operands)
    if operands == node.operands:  # nodes are equal only if they are the same
        return node
    if meet is meet_strict and all(map(_same_type, operands, node.operands)):  # so is what is inferred of them
        return Node(node.op, operands, node.type, node.attributes, node.where, node.name)
    return make(node.op, *operands, where=node.where, name=node.name, meet=meet, **dict(node.attributes))


def _same_type(one: Node, other: Node) -> bool:
    return one.type is other.type or one.type == other.type


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph: inputs in order, nodes in topological order (inputs among them), named outputs.

    ``comments`` is commentary for readers (what a pass took out and where it was declared).

    live: whether it is known that the outputs need all nodes but inputs.
    """

    name: str
    inputs: tuple[Node, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[tuple[str, Node], ...]
    comments: tuple[str, ...] = ()
    live: bool = field(default=False, repr=False)

    @staticmethod
    def of(
        name: str,
        outputs: Iterable[tuple[str, Node]],
        inputs: Iterable[Node] = (),
        comments: tuple[str, ...] = (),
    ) -> Graph:
        """The graph of everything that ``outputs`` need; ``inputs`` are kept whether they are used or not."""
        outputs = tuple(outputs)
        inputs = tuple(inputs)
        reached = topological((*inputs, *(node for _, node in outputs)))
        known = set(map(id, inputs))
        inputs += tuple(node for node in reached if node.op in ("input", "parameter") and id(node) not in known)
        first = set(inputs)
        nodes = (*inputs, *(node for node in reached if node not in first))
        return Graph(name, inputs, nodes, outputs, comments, live=True)

    def output(self, name: str) -> Node:
        return next(node for key, node in self.outputs if key == name)

    def users(self) -> dict[Node, list[Node]]:
        table: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for operand in node.operands:
                table[operand].append(node)
        return table

    @property
    def symbols(self) -> list[str]:
        """Names of sizes, in order of appearance, in types and attributes, bodies included."""
        return list(self._symbols)

    @cached_property
    def _symbols(self) -> dict[str, None]:
        return dict.fromkeys(name for node in self.nodes for name in symbols_of_node(node))

    def read_inputs(self) -> tuple[Node, ...]:
        """Inputs that something reads, and those without which a size would have no value."""
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
        """Every node, those of bodies after the node that holds them."""
        return walk(self.nodes)

    def networkx(self) -> nx.MultiDiGraph[str]:
        """The graph as a ``networkx.MultiDiGraph``; a scan's body is nested under ``name/``."""
        return networkx_graph(self.name, self.nodes, self.outputs)

    def dot(self) -> str:
        """The graph in Graphviz's language: layers and scans as clusters, what a step hands to the next as an edge."""
        return dot_text(self.name, self.nodes, self.outputs)

    def __str__(self) -> str:
        return str.__str__(self.text())

    def text(self) -> StageText:
        """The printed form, with what each line comes from."""
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
    """Names of sizes in a node's type, attributes and bodies."""
    yield from _ordered_symbols(node.type)
    for key, value in node.attributes:
        if key != "type":
            yield from _symbols_of_attribute(value)


def _symbols_of_attribute(value: Any) -> Iterator[str]:
    if isinstance(value, Size):
        yield from sorted(symbols_of(value))
    elif isinstance(value, tuple):
        for item in value:
            yield from _symbols_of_attribute(item)
    elif isinstance(value, Graph):
        yield from value._symbols


Rule = Callable[[Node, tuple[Node, ...]], Node | None]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """``graph`` with ``rule`` applied to every node, operands first.

    The rule gets a node and its new operands and returns a replacement, or None to keep the node (over
    those operands). Where nothing changes the graph object stays the same.
    """
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        operands = tuple(map(new.__getitem__, node.operands))
        replacement = rule(node, operands)
        if replacement is None:
            replacement = node if operands == node.operands else remake(node, operands)
        new[node] = replacement
    return rebuilt(graph, new)


def rebuilt(graph: Graph, new: Mapping[Node, Node]) -> Graph:
    """``graph`` with outputs and inputs replaced by ``new``; dead nodes go; unchanged stays unchanged."""
    outputs = tuple((name, new[node]) for name, node in graph.outputs)
    inputs = tuple(map(new.__getitem__, graph.inputs))
    same = tuple(map(new.__getitem__, graph.nodes)) == graph.nodes
    if same and (graph.live or len(topological((*inputs, *(node for _, node in outputs)))) == len(graph.nodes)):
        return graph
    return Graph.of(graph.name, outputs, inputs, graph.comments)


def map_bodies(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """``graph`` with ``change`` applied to the body of every scan, innermost first."""
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
    """A scan over other operands with another body that takes and gives the same."""
    return make("scan", *operands, where=scan.where, name=scan.name, **dict(scan.attributes) | {"body": body})


def with_attributes(node: Node, **changes: Any) -> Node:
    attributes = {**dict(node.attributes), **changes}
    return make(node.op, *node.operands, where=node.where, name=node.name, **attributes)


def substitute_attribute(value: Any, sizes: Mapping[str, Dim]) -> Any:
    """An attribute with names of sizes replaced, at any depth."""
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
    """``graph`` with names of sizes replaced, in types and attributes alike."""
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


def with_lines(roots: Sequence[Node], given: Iterable[Node], line: Callable[[Node], Where | None]) -> list[Node]:
    """``roots`` with all that they need, beside what is ``given``, each node at the ``line`` that is told for it."""
    new = {node: node for node in given}
    _at_lines(roots, new, line)
    return [new[node] for node in roots]


def _at_lines(roots: Iterable[Node], new: dict[Node, Node], line: Callable[[Node], Where | None]) -> None:
    for node in topological(roots, known=new):
        attributes = tuple((key, _body(value, line) if key == "body" else value) for key, value in node.attributes)
        operands = tuple(new[operand] for operand in node.operands)
        new[node] = replace(node, operands=operands, attributes=attributes, where=line(node))


def _body(body: Graph, line: Callable[[Node], Where | None]) -> Graph:
    new: dict[Node, Node] = {}
    _at_lines(body.nodes, new, line)
    inputs, nodes = (tuple(new[node] for node in part) for part in (body.inputs, body.nodes))
    return replace(body, inputs=inputs, nodes=nodes, outputs=tuple((name, new[node]) for name, node in body.outputs))
