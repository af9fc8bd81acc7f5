"""States of any shape that a net takes and returns by name.

Streams store such states as [rows, width], like drivers' states. Callers see the declared shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...ir.axes.by_size import axis_of_names, axis_of_sizes, rows_of_feeds, state_rows
from ...ir.graph import Graph, Node, make, remake
from ...ir.types import Dim, Shape, TensorType, product, symbols_of
from ...support.errors import ShapeError, Where
from ...support.records import dataclass
from .lowered import Lowered, kept_label


@dataclass(frozen=True)
class KeptState:
    """State that a stream keeps between calls.

    Attributes:
        kind: Declared type.
        axis: Row axis; None if the state has none. A stream of such a state has one row.
    """

    kind: TensorType
    axis: int | None

    @property
    def front(self) -> Shape:
        """Declared shape with the row axis in front. If the state has no row axis, an axis of size 1 is added there."""
        if self.axis is None:
            return (1, *self.kind.shape)
        return (self.kind.shape[self.axis], *(dim for axis, dim in enumerate(self.kind.shape) if axis != self.axis))

    @property
    def stored(self) -> TensorType:
        """Type [rows, width] that streams store."""
        rows, *others = self.front
        return self.kind.with_shape((rows, product(tuple(others))))

    def declared(self, flat: Node) -> Node:
        """Reshape a node from [rows, width] to the declared type."""
        if self.axis is None:
            return make("reshape", flat, shape=self.kind.shape)
        others = [axis for axis in range(self.kind.rank) if axis != self.axis]
        order = tuple(0 if axis == self.axis else 1 + others.index(axis) for axis in range(self.kind.rank))
        return make("transpose", make("reshape", flat, shape=self.front), order=order)

    def to_stored(self, node: Node) -> Node:
        """Reshape a node from the declared type to [rows, width]."""
        if self.axis is not None:
            others = (axis for axis in range(self.kind.rank) if axis != self.axis)
            node = make("transpose", node, order=(self.axis, *others))
        return make("reshape", node, shape=self.stored.shape)

    def declared_array(self, flat: np.ndarray) -> np.ndarray:
        """Reshape an array from [rows, width] to the declared shape."""
        if self.axis is None:
            return flat.reshape([int(str(dim)) for dim in self.kind.shape])
        others = [int(str(dim)) for dim in self.front[1:]]
        return np.moveaxis(flat.reshape(len(flat), *others), 0, self.axis)

    def stored_array(self, array: np.ndarray) -> np.ndarray:
        """Reshape an array from the declared shape to [rows, width]."""
        rows = 1 if self.axis is None else array.shape[self.axis]
        front = array if self.axis is None else np.moveaxis(array, self.axis, 0)
        return front.reshape(rows, front.size // max(rows, 1))


def by_rows(
    lowered: Lowered, names: Sequence[str], lengths: set[str], batch: int, where: Where | None
) -> tuple[Lowered, dict[str, KeptState]]:
    """Return a lowering whose kept states are [rows, width], and these states by label.

    Args:
        lowered: Declaration with kept states.
        names: Names of the states' placeholders.
        lengths: Names of the sizes that count steps.
        batch: Number of rows.
        where: Line of the user's call, for errors.

    Raises:
        ShapeError: A symbolic size of a state is not the number of rows.
    """
    labels = [*map(kept_label, names)]
    inputs = {str(node["label"]): node for node in lowered.graph.inputs if node.op == "input"}
    kinds = {label: inputs[label].tensor for label in labels}
    fed = [node.shape for label, node in inputs.items() if label not in labels]
    rows = _rows(lowered.graph, [*kinds.values()], fed, lengths)
    states = {label: _state(label, kind, rows, batch, where) for label, kind in kinds.items()}
    graph, initial = (_by_rows(graph, states) for graph in (lowered.graph, lowered.initial))
    return replace(lowered, graph=graph, initial=initial), states


def _rows(graph: Graph, kept: Sequence[TensorType], fed: Sequence[Shape], lengths: set[str]) -> set[str]:
    """Return the names of the sizes that count rows.

    If the kept states have exactly one symbolic size, it counts rows. Otherwise the row axes of recurrences and feeds
    decide.
    """
    named = {name for kind in kept for name in kind.symbols}
    if len(named) == 1:
        return named
    counted: list[Dim] = [*state_rows(graph), *rows_of_feeds(fed, lengths)]
    return {name for dim in counted for name in symbols_of(dim)}


def _state(label: str, kind: TensorType, rows: set[str], batch: int, where: Where | None) -> KeptState:
    """Return a state of type ``kind`` that a stream keeps, with its row axis: the first axis that counts rows.

    Its row axis is the first whose size contains a symbol of ``rows``; else the first of size ``batch``; else None.
    Raise ``ShapeError`` if another symbol occurs in its shape.
    """
    if unknown := sorted(kind.symbols - rows):
        raise ShapeError(
            f"{label}, {kind}, can't start as zeros: its symbolic size {', '.join(unknown)} is not the number of rows; "
            "declare this axis of its placeholder as an int",
            where,
        )
    axis = axis_of_names(kind.shape, rows)
    return KeptState(kind, axis_of_sizes(kind.shape, {batch}) if axis is None else axis)


def _by_rows(graph: Graph, states: Mapping[str, KeptState]) -> Graph:
    """Return a graph whose inputs and outputs named in ``states`` are [rows, width]."""
    new: dict[Node, Node] = {}
    inputs: dict[Node, Node] = {}
    for node in graph.nodes:
        state = states.get(str(node["label"])) if node.op == "input" else None
        if state is None:
            new[node] = inputs[node] = remake(node, [*map(new.__getitem__, node.operands)])
            continue
        attributes: dict[str, Any] = dict(node.attributes) | {"type": state.stored}
        inputs[node] = make("input", where=node.where, name=node.name, **attributes)
        new[node] = state.declared(inputs[node])
    outputs = [
        (name, states[name].to_stored(new[node]) if name in states else new[node]) for name, node in graph.outputs
    ]
    return Graph.of(graph.name, outputs, [inputs[node] for node in graph.inputs], graph.comments)
