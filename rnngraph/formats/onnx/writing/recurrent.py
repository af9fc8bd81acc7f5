"""Writes a recurrent layer as ONNX's LSTM, GRU or RNN node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from ...gates import ONNX_ACTIVATIONS
from .operators import ELEMENT_TYPES, Writer, is_fed
from .recognition.layer import Initial, RecurrentLayer


def write_layers(writer: Writer, layers: Sequence[RecurrentLayer]) -> list[list[str]]:
    """Write one recurrent layer, or two opposite directions, as one node. Return, for each, its results' names."""
    scope, first = writer.scope, layers[0]
    parts = [scope.values[node] for node in first.inputs]
    x = parts[0] if len(parts) == 1 else writer.add("Concat", *parts, axis=2)
    parameters = [name for layer in layers for name in layer.parameters]
    base = _common(parameters)
    lengths = "" if first.lengths is None else _lengths(writer, first)
    inputs = [x, *_weights(writer, layers, base), lengths, *_initial(writer, layers)]
    if first.peepholes is not None:
        inputs.append(_array(writer, [layer.peepholes for layer in layers], base + "P"))
    while not inputs[-1]:
        inputs.pop()
    names = ["Y", "Y_h", "Y_c"][: 1 + len(first.initial)]
    used = {name for layer in layers for name in layer.results}
    hints = [f"{base}{name}" if name in used else "" for name in names]
    while not hints[-1]:
        hints.pop()
    outputs = scope.add_many(first.op, inputs, hints, **_attributes(layers))
    scope.operators[-1].about = f"weights of {', '.join(parameters)}, in the order of gates that ONNX has"
    by_name = dict(zip(names, outputs, strict=False))
    return [_results(writer, layer, by_name, lengths, place, len(layers)) for place, layer in enumerate(layers)]


def _weights(writer: Writer, layers: Sequence[RecurrentLayer], base: str) -> list[str]:
    return [
        _array(writer, [layer.kernel for layer in layers], base + "W"),
        _array(writer, [layer.recurrent for layer in layers], base + "R"),
        _array(writer, [layer.bias for layer in layers], base + "B"),
    ]


def _array(writer: Writer, arrays: Sequence[np.ndarray | None], name: str) -> str:
    """Store the arrays of all directions, stacked, as a constant tensor, and return its name. None is left out."""
    known = [array for array in arrays if array is not None]
    return writer.scope.model.initializer(np.ascontiguousarray(np.stack(known), np.float32), name)


def _initial(writer: Writer, layers: Sequence[RecurrentLayer]) -> list[str]:
    """Return the names of the initial h and, for LSTMs, c of all directions; ``""`` for states that are 0."""
    arrays = []
    for states in zip(*(layer.initial for layer in layers), strict=True):
        if all(item.is_zero for item in states):
            arrays.append("")
            continue
        parts = [writer.scope.unsqueeze(writer.scope.values[item.value], 0) for item in states]
        arrays.append(parts[0] if len(parts) == 1 else writer.add("Concat", *parts, axis=0))
    return arrays


def _results(
    writer: Writer, layer: RecurrentLayer, outputs: Mapping[str, str], lengths: str, place: int, directions: int
) -> list[str]:
    """Return the names of one direction's results, in the order of the scan's results.

    Args:
        writer: The writer.
        layer: The direction.
        outputs: Names of the node's outputs, by ``"Y"``, ``"Y_h"`` and ``"Y_c"``.
        lengths: Name of the lengths; ``""`` for none.
        place: Index of the direction in the node.
        directions: Number of directions of the node.
    """

    def part(name: str, axis: int) -> str:
        if directions == 1:
            return writer.scope.squeeze(outputs[name], axis, name)
        return writer.add("Gather", outputs[name], writer.constant(place, "int64", "direction"), hint=name, axis=axis)

    results = {name: part(name, 1 if name == "Y" else 0) for name in dict.fromkeys(layer.results)}
    for name, item in zip(("Y_h", "Y_c"), layer.initial, strict=False):
        if name in results and lengths and not item.is_zero:
            results[name] = _last_state(writer, lengths, results[name], item)
    return [results[name] for name in layer.results]


def are_one_node(one: RecurrentLayer, other: RecurrentLayer) -> bool:
    """True if two layers can be the directions of one node: ``one`` runs forward, and ``other`` backward."""
    equal = (
        one.op == other.op
        and one.units == other.units
        and list(one.inputs) == list(other.inputs)
        and one.lengths is other.lengths
        and one.reset_after == other.reset_after
        and (one.peepholes is None) == (other.peepholes is None)
    )
    return equal and not one.reverse and other.reverse


def _attributes(layers: Sequence[RecurrentLayer]) -> dict[str, Any]:
    """Return the attributes of the node of all directions, without those that have ONNX's defaults."""
    first = layers[0]
    attributes: dict[str, Any] = {"hidden_size": first.units}
    if len(layers) > 1 or first.reverse:
        attributes["direction"] = "bidirectional" if len(layers) > 1 else "reverse"
    activations = [item for layer in layers for item in layer.activations]
    if tuple(item.name for item in activations) != ONNX_ACTIVATIONS[first.op] * len(layers):
        attributes["activations"] = [item.name for item in activations]
        for key in ("alpha", "beta"):
            numbers = [number for item in activations if (number := getattr(item, key)) is not None]
            if numbers:  # ONNX assigns the list to the activations that have the parameter, in order.
                attributes[f"activation_{key}"] = numbers
    if first.reset_after:
        attributes["linear_before_reset"] = 1
    return attributes


def _lengths(writer: Writer, layer: RecurrentLayer) -> str:
    """Write the lengths of the rows as an int32 vector. Lengths that no call validates are clamped to the steps."""
    node = layer.lengths
    assert node is not None
    lengths = writer.scope.values[node]
    if node.tensor.rank != 1:
        lengths = writer.scope.reshape(lengths, [-1])
    if not is_fed(node, writer.sizes.inputs):  # Lengths that are inputs are validated by each call instead.
        lengths = writer.within(lengths, layer.inputs[0].shape[0], node)
    return lengths if node.dtype == "int32" else writer.add("Cast", lengths, to=ELEMENT_TYPES["int32"])


def _last_state(writer: Writer, lengths: str, last: str, initial: Initial) -> str:
    """Write a last state. Rows of length 0 keep the initial state, for which onnxruntime would return 0."""
    runs = writer.add("Less", writer.constant(0, "int32", "zero"), lengths)
    return writer.add("Where", writer.scope.unsqueeze(runs, 1), last, writer.scope.values[initial.value])


def _common(parameters: Sequence[str]) -> str:
    """Return the longest common prefix of parameter names that ends at a slash."""
    scopes = zip(*(name.split("/")[:-1] for name in parameters), strict=False)
    return "".join(f"{parts[0]}/" for parts in takewhile(lambda parts: len(set(parts)) == 1, scopes))
