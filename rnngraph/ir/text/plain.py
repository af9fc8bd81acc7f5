"""Graphs as values that JSON can store.

Unlike the complete text, this form is neither parsed nor verified when it is read, so that reading is fast. It is for
files that only this library writes, such as those of the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...support.errors import Place, Where
from ..graph import Graph, Node
from ..sizes.polynomial import plain_dim, restored_dim
from ..types import Size, TensorType, TupleType, Type

_ARRAY, _NUMBER, _GRAPH, _SIZE, _TYPE = "array", "number", "graph", "size", "type"
"""Keys of attribute values that JSON has no type for."""

_SMALL_BYTES = 64
"""Maximum bytes of an array that is compared with others, so that equal ones are stored once."""


def plain_graphs(
    graphs: Sequence[Graph], arrays: dict[str, np.ndarray], places: Sequence[Place] = ()
) -> dict[str, Any]:
    """Return graphs as values that JSON can store. Nodes that graphs share are stored once.

    Args:
        graphs: The graphs.
        arrays: Receives the values of constants.
        places: Source lines that are stored as their numbers, because they may move until the graphs are restored.
    """
    writer = _Writer(arrays, places)
    described = [writer.graph(graph) for graph in graphs]
    return {"types": writer.types, "lines": writer.lines, "nodes": writer.nodes, "graphs": described}


def restored_graphs(
    document: Mapping[str, Any], arrays: Mapping[str, np.ndarray], places: Sequence[Place] = ()
) -> list[Graph]:
    """Return the graphs that ``plain_graphs`` stored, with ``places`` for the lines that it stored as numbers."""
    reader = _Reader(document, arrays, places)
    return [reader.graph(graph) for graph in document["graphs"]]


class _Writer:
    """Writer of graphs that share nodes. Types and lines are stored once, and nodes refer to them by number."""

    def __init__(self, arrays: dict[str, np.ndarray], places: Sequence[Place]) -> None:
        self.arrays = arrays
        self._places = {place: number for number, place in enumerate(places)}
        self.nodes: list[Any] = []
        self.types: list[Any] = []
        self.lines: list[Any] = []
        self._type_numbers: dict[Type, int] = {}
        self._line_numbers: dict[Where, int] = {}
        self._numbers: dict[Node, int] = {}
        self._keys: dict[object, str] = {}

    def graph(self, graph: Graph) -> list[Any]:
        """Return a graph as values that JSON can store. Its nodes are added to ``nodes``, once each."""
        for node in graph.nodes:
            if node not in self._numbers:
                described = self._node(node)
                self._numbers[node] = len(self.nodes)
                self.nodes.append(described)
        inputs, nodes = ([self._numbers[node] for node in group] for group in (graph.inputs, graph.nodes))
        outputs = [(name, self._numbers[node]) for name, node in graph.outputs]
        return [graph.name, inputs, nodes, outputs, graph.comments, graph.live, graph.simplified]

    def _node(self, node: Node) -> list[Any]:
        operands = [self._numbers[operand] for operand in node.operands]
        attributes = [(key, self._value(value)) for key, value in node.attributes]
        return [node.op, operands, self._type(node.type), attributes, self._line(node.where), node.name]

    def _type(self, kind: Type) -> int:
        if kind not in self._type_numbers:
            self._type_numbers[kind] = len(self.types)
            plain = [*map(plain_type, kind.items)] if isinstance(kind, TupleType) else plain_type(kind)
            self.types.append(plain)
        return self._type_numbers[kind]

    def _line(self, where: Where | None) -> int | None:
        """Return the number of a source line in ``lines``, to which a new line is added."""
        if where is None:
            return None
        if where not in self._line_numbers:
            self._line_numbers[where] = len(self.lines)
            self.lines.append([self._places.get(where.place, where.place), where.layer, where.phase])
        return self._line_numbers[where]

    def _value(self, value: Any) -> Any:
        """Return an attribute's value as values that JSON can store."""
        if isinstance(value, tuple):
            return [self._value(item) for item in value]
        if isinstance(value, np.ndarray | np.generic):
            return {_ARRAY if isinstance(value, np.ndarray) else _NUMBER: self._array(np.asarray(value))}
        if isinstance(value, Graph):
            return {_GRAPH: self.graph(value)}
        if isinstance(value, Size):
            return {_SIZE: plain_dim(value)}
        if isinstance(value, TensorType):
            return {_TYPE: plain_type(value)}
        assert value is None or isinstance(value, bool | int | float | str), f"{value!r} has no form for JSON"
        return value

    def _array(self, value: np.ndarray) -> str:
        """Store an array for a file, and return its key. Small arrays of equal bits share a key."""
        is_small = value.nbytes <= _SMALL_BYTES
        content = (value.dtype.str, value.shape, value.tobytes()) if is_small else id(value)
        if content not in self._keys:
            key = self._keys[content] = str(len(self._keys))
            self.arrays[key] = value
        return self._keys[content]


class _Reader:
    """Reader of graphs that share nodes."""

    def __init__(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray], places: Sequence[Place]) -> None:
        self._arrays = arrays
        types = [restored_type(kind) for kind in document["types"]]
        lines = [
            Where(*(places[place] if isinstance(place, int) else place), *rest) for place, *rest in document["lines"]
        ]
        self.nodes = nodes = list[Node]()
        for op, operands, kind, attributes, line, name in document["nodes"]:
            values = tuple([(key, self._value(value)) for key, value in attributes])
            where = None if line is None else lines[line]
            nodes.append(Node(op, tuple([nodes[number] for number in operands]), types[kind], values, where, name))

    def graph(self, described: Sequence[Any]) -> Graph:
        """Return the graph that ``_Writer.graph`` described."""
        name, inputs, numbers, outputs, comments, live, simplified = described
        nodes = self.nodes
        return Graph(
            name,
            tuple([nodes[number] for number in inputs]),
            tuple([nodes[number] for number in numbers]),
            tuple([(name, nodes[number]) for name, number in outputs]),
            tuple(comments),
            live,
            simplified,
        )

    def _value(self, value: Any) -> Any:
        """Return the attribute's value that ``_Writer._value`` stored."""
        if isinstance(value, list):
            return tuple([self._value(item) for item in value])
        if not isinstance(value, dict):
            return value
        ((kind, stored),) = value.items()
        if kind == _GRAPH:
            return self.graph(stored)
        if kind == _SIZE:
            return restored_dim(stored)
        if kind == _TYPE:
            return restored_type(stored)
        array = self._arrays[stored]
        return array if kind == _ARRAY else array[()]


def plain_type(kind: TensorType) -> tuple[str, list[Any]]:
    """Return a type as values that JSON can store."""
    return kind.dtype, [plain_dim(dim) for dim in kind.shape]


def restored_type(stored: Any) -> Any:
    """Return a type. That of a tuple is stored as a list of types, and that of a tensor begins with its dtype."""
    if stored and isinstance(stored[0], str):
        dtype, shape = stored
        return TensorType(dtype, tuple(map(restored_dim, shape)))
    return TupleType(tuple(map(restored_type, stored)))
