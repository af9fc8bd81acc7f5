"""Digests of graphs: of what they compute, and of this with names and source lines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...support.errors import Place
from ..graph import Graph, Node
from ..types import Size, TensorType, Type


def fingerprint(graph: Graph) -> str:
    """Return a SHA-256 digest that is equal for graphs with the same nodes in the same order.

    Constants are compared bit by bit.
    """
    text: list[str] = []
    _write(graph, {}, {}, text)
    return hashlib.sha256("\n".join(text).encode("utf-8", "surrogatepass")).hexdigest()


def identity(graphs: Sequence[Graph]) -> tuple[str, tuple[Place, ...]]:
    """Return a SHA-256 digest of graphs with their names, and the distinct source lines to which it refers by number.

    The digest contains the number of each line instead of the line, so that it does not change if lines move.
    """
    text: list[str] = []
    places: dict[Place, int] = {}
    for graph in graphs:
        text += [fingerprint(graph), graph.name, *graph.comments]
        for node in graph.walk():
            where = node.where
            line = where and (places.setdefault(where.place, len(places)), where.layer, where.phase)
            text.append(f"{node.name!r} {line}")
    return hashlib.sha256("\n".join(text).encode("utf-8", "surrogatepass")).hexdigest(), tuple(places)


def _write(graph: Graph, numbers: dict[Node, int], types: dict[Type, str], text: list[str]) -> None:
    """Append lines that describe all that a graph computes to ``text``, with nodes as numbers."""
    first = len(numbers)
    for node in graph.nodes:
        operands = [numbers[operand] for operand in node.operands]
        numbers[node] = len(numbers)
        type_text = types.get(node.type)
        if type_text is None:
            type_text = types[node.type] = repr(node.type)
        text.append(f"{node.op} {operands} {type_text}")
        for name, value in node.attributes:
            if isinstance(value, Graph):
                text.append(f"{name} {{")
                _write(value, numbers, types, text)
                text.append("}")
            else:
                text.append(f"{name} {_value(value)}")
    inputs = [numbers[node] - first for node in graph.inputs]
    text.append(f"inputs {inputs} outputs {[(name, numbers[node]) for name, node in graph.outputs]}")


def _value(value: Any) -> str:
    """Return a text for an attribute's value, different for different values."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_value, value))})"
    plain = bool | int | float | str | np.generic | Size | TensorType
    assert value is None or isinstance(value, plain), f"{value!r} has no text"
    return repr(value)
