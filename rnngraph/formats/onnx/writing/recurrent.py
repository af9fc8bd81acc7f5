"""A recurrent layer as ONNX's LSTM, GRU or RNN node."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from .operators import ELEMENT_TYPES, Writer, is_fed
from .recognition.layer import Initial, RecurrentLayer

_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


def write_layer(writer: Writer, layer: RecurrentLayer) -> list[str]:
    """The names of what the layer's scan gives, in its order."""
    scope = writer.scope
    model, values = scope.model, scope.values
    parts = [values[node] for node in layer.inputs]
    x = parts[0] if len(parts) == 1 else writer.add("Concat", *parts, axis=2)
    base = _common(layer.parameters)
    weights = [
        model.initializer(np.ascontiguousarray(array[None], np.float32), base + name)
        for name, array in (("W", layer.kernel), ("R", layer.recurrent), ("B", layer.bias))
    ]
    lengths = "" if layer.lengths is None else _lengths(writer, layer)
    states = ["" if item.is_zero else scope.unsqueeze(values[item.value], 0) for item in layer.initial]
    inputs = [x, *weights, lengths, *states]
    if layer.peepholes is not None:
        inputs += [model.initializer(layer.peepholes[None], base + "P")]
    while not inputs[-1]:
        inputs.pop()
    names = ["Y", "Y_h", "Y_c"][: 1 + len(layer.initial)]
    hints = [f"{base}{name}" if name in layer.results else "" for name in names]
    while not hints[-1]:
        hints.pop()
    given = dict(zip(names, scope.add_many(layer.op, inputs, hints, **_attributes(layer)), strict=False))
    scope.operators[-1].about = f"weights of {', '.join(layer.parameters)}, in the order of gates that ONNX has"
    squeezed = {name: scope.squeeze(value, 1 if name == "Y" else 0, name) for name, value in given.items() if value}
    for name, item in zip(("Y_h", "Y_c"), layer.initial, strict=False):
        if name in squeezed and lengths and not item.is_zero:
            squeezed[name] = _kept(writer, lengths, squeezed[name], item)
    return [squeezed[name] for name in layer.results]


def _attributes(layer: RecurrentLayer) -> dict[str, Any]:
    found: dict[str, Any] = {"hidden_size": layer.units}
    if layer.reverse:
        found["direction"] = "reverse"
    if tuple(item.name for item in layer.activations) != _DEFAULTS[layer.op]:
        found["activations"] = [item.name for item in layer.activations]
        for key in ("alpha", "beta"):
            numbers = [number for item in layer.activations if (number := getattr(item, key)) is not None]
            if numbers:  # taken one by one by the activations that have one
                found[f"activation_{key}"] = numbers
    if layer.reset_after:
        found["linear_before_reset"] = 1
    return found


def _lengths(writer: Writer, layer: RecurrentLayer) -> str:
    node = layer.lengths
    assert node is not None
    lengths = writer.scope.values[node]
    if node.tensor.rank != 1:
        lengths = writer.scope.reshape(lengths, [-1])
    if not is_fed(node):  # what is fed is known to be no number of steps that there are not
        limit = writer.scalar(layer.inputs[0].shape[0], node)
        limit = limit if node.dtype == "int64" else writer.add("Cast", limit, to=ELEMENT_TYPES[node.dtype])
        lengths = writer.add("Min", writer.add("Max", lengths, writer.constant(0, node.dtype, "zero")), limit)
    return lengths if node.dtype == "int32" else writer.add("Cast", lengths, to=ELEMENT_TYPES["int32"])


def _kept(writer: Writer, lengths: str, last: str, initial: Initial) -> str:
    """A last state: of a row without steps the initial one, for which onnxruntime gives 0."""
    runs = writer.add("Less", writer.constant(0, "int32", "zero"), lengths)
    return writer.add("Where", writer.scope.unsqueeze(runs, 1), last, writer.scope.values[initial.value])


def _common(parameters: Sequence[str]) -> str:
    """What names of parameters begin with, up to the last slash."""
    scopes = zip(*(name.split("/")[:-1] for name in parameters), strict=False)
    return "".join(f"{parts[0]}/" for parts in takewhile(lambda parts: len(set(parts)) == 1, scopes))
