"""Forms in which streams store states: those of declarations, and those in which steps compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...declare.nest import flatten
from ...ir.graph import Graph, Node, make, remake
from ...ir.node import inverse_order
from ...ir.numbers.narrow import bfloat16_of_bits
from ...ir.sizes.polynomial import plain_dim, restored_dim
from ...ir.text.plain import plain_type, restored_type
from ...ir.types import Shape, TensorType
from ...support.records import dataclass
from ..lowering.kept_states import KeptState
from ..lowering.lowered import Lowered


@dataclass(frozen=True)
class SwappedState:
    """State that a stream stores with other axes than the declared ones.

    Attributes:
        kind: Declared type.
        shape: Shape to which steps reshape the declared one. The first axis stays that of rows.
        order: Order of the stored axes, as for ``transpose``.
    """

    kind: TensorType
    shape: Shape
    order: tuple[int, ...]

    @property
    def stored(self) -> TensorType:
        """Type that streams store."""
        return self.kind.with_shape((self.kind.shape[0], *(self.shape[axis] for axis in self.order[1:])))

    def declared(self, stored: Node) -> Node:
        """Return a stored state in its declared shape."""
        node = make("transpose", stored, order=inverse_order(self.order))
        return node if self.shape == self.kind.shape else _reshaped(node, self.kind.shape)

    def to_stored(self, node: Node) -> Node:
        """Return a state of the declared shape as streams store it."""
        node = node if self.shape == self.kind.shape else _reshaped(node, self.shape)
        return make("transpose", node, order=self.order)

    def declared_array(self, stored: np.ndarray) -> np.ndarray:
        """Return a stored array in its declared shape."""
        array = stored.transpose(inverse_order(self.order))
        return array.reshape(len(array), *map(int, map(str, self.kind.shape[1:])))

    def stored_array(self, array: np.ndarray) -> np.ndarray:
        """Return an array of the declared shape as streams store it."""
        return array.reshape(len(array), *map(int, map(str, self.shape[1:]))).transpose(self.order)


def plain_swapped(state: SwappedState) -> list[Any]:
    """Return a state as values that JSON can store."""
    return [plain_type(state.kind), [*map(plain_dim, state.shape)], state.order]


def restored_swapped(stored: Sequence[Any]) -> SwappedState:
    """Return the state that ``plain_swapped`` stored."""
    kind, shape, order = stored
    return SwappedState(restored_type(kind), tuple(map(restored_dim, shape)), tuple(order))


def _reshaped(node: Node, shape: Shape) -> Node:
    """Reshape each row of a value to ``shape[1:]``. The number of rows is unchanged, and ``shape[0]`` is ignored."""
    return make("reshape", node, shape=(node.shape[0], *shape[1:]))


@dataclass(frozen=True)
class StreamStates:
    """Labels, types and structure of a stream's states.

    Attributes:
        labels: Labels of all states, in order.
        types: Types of all states, by label.
        structures: For each driver, the nest of its states, with labels as leaves; then the nest of the states that are
            kept by name.
        named: Like ``structures``, with each state under its name.
        kept: Declarations of the states that are kept by name, by label.
        swapped: Forms of the states that are stored with other axes than the declared ones, by label.
    """

    labels: list[str]
    types: Mapping[str, TensorType]
    structures: tuple[Any, ...]
    named: tuple[Any, ...]
    kept: Mapping[str, KeptState]
    swapped: Mapping[str, SwappedState]

    def form(self, label: str) -> KeptState | SwappedState | None:
        """Return the form in which a state is stored; None for the declared form."""
        return self.kept.get(label) or self.swapped.get(label)

    def declared(self, label: str, array: np.ndarray) -> np.ndarray:
        """Convert a stored state to the caller's form: its declared shape, and float32 for bits of bfloat16."""
        form = self.form(label)
        whole = array if form is None else form.declared_array(array)
        return bfloat16_of_bits(whole) if self.types[label].dtype == "bfloat16" else whole


def with_stored_axes(lowered: Lowered, optimized: Graph) -> tuple[Lowered, dict[str, SwappedState]]:
    """Store matrix states with the axes in which steps compute with them.

    Law: results are unchanged, bit for bit.

    Args:
        lowered: Declaration whose states are inputs and outputs.
        optimized: Its graph after the pass ``state_axes``.

    Returns:
        The declaration with other types of these inputs, outputs and initial values, and the states by label.
    """
    labels = {label for nest in lowered.states for label in flatten(nest)}
    kinds = {str(node["label"]): node.tensor for node in lowered.graph.inputs if node.op == "input"}
    users = optimized.users()
    states = {
        str(node["label"]): state
        for node in optimized.inputs
        if node.op == "input" and node["label"] in labels and (state := _swapped_state(node, kinds, users))
    }
    if not states:
        return lowered, {}
    return replace(lowered, graph=_stored(lowered.graph, states), initial=_stored(lowered.initial, states)), states


def _swapped_state(
    node: Node, kinds: Mapping[str, TensorType], users: Mapping[Node, Sequence[Node]]
) -> SwappedState | None:
    """Return the transposed form of a state that is only read transposed, by one loop; None for other states."""
    kind, end = kinds[node["label"]], node
    while len(users[end]) == 1 and end.op in ("input", "cast", "reshape"):
        source, end = end, users[end][0]
    if end.op != "transpose" or any(user.op != "scan" for user in users[end]) or len(users[end]) != 1:
        return None
    shape = source.shape
    return SwappedState(kind, shape, end["order"]) if all(isinstance(dim, int) for dim in shape[1:]) else None


def _stored(graph: Graph, states: Mapping[str, SwappedState]) -> Graph:
    """Return a graph whose inputs and outputs named in ``states`` have the stored form."""
    users, new, inputs = graph.users(), dict[Node, Node](), dict[Node, Node]()
    for node in graph.nodes:
        state = states.get(str(node["label"])) if node.op == "input" else None
        if state is not None:
            attributes: dict[str, Any] = dict(node.attributes) | {"type": state.stored}
            inputs[node] = make("input", where=node.where, name=node.name, **attributes)
            is_narrow = all(user.op == "cast" for user in users[node])
            new[node] = inputs[node] if is_narrow else state.declared(inputs[node])
        elif node.op == "cast" and node.operands[0] in inputs and new[node.operands[0]] is inputs[node.operands[0]]:
            state = states[node.operands[0]["label"]]
            new[node] = state.declared(remake(node, [inputs[node.operands[0]]]))
        else:
            new[node] = remake(node, [new[item] for item in node.operands])
    outputs = [
        (name, _to_stored(new[node], states[name]) if name in states else new[node]) for name, node in graph.outputs
    ]
    return Graph.of(graph.name, outputs, [inputs.get(node, new[node]) for node in graph.inputs], graph.comments)


def _to_stored(node: Node, state: SwappedState) -> Node:
    """Return a state in the stored form, transposed before a cast to a narrow dtype."""
    if node.op == "cast":
        return remake(node, [_to_stored(node.operands[0], state)])
    return state.to_stored(node)
