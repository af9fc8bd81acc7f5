"""Reads JSON files of RTNeural, AIDA-X and GuitarML.

RTNeural's files list layers with arrays in Keras' layouts; convolutions are causal. AIDA-X adds gains in dB, and
``in_skip``, which adds the input to the output. GuitarML's files have torch's arrays of recurrent layers and a dense
layer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np

from ..declare.functions.activations import ACTIVATIONS, leaky_relu
from ..declare.functions.convolutions import conv1d
from ..support.api_guard import api
from ..support.errors import FileError
from .gates import ORDERS, Layer, gates_of
from .layers import (
    CellKind,
    declare_batch_normalization,
    declare_dense,
    declare_parameter,
    declare_stack,
    gru_cell,
    lstm_cell,
    rnn_cell,
)
from .net import Net
from .reading import Record, bytes_of_file, json_of, not_readable, numbers
from .script import Script
from .steps import Value
from .weights import torch_layer

WHAT = "a file of RTNeural or GuitarML"


@api
def read_rtneural(source: str | os.PathLike[str] | bytes) -> Net:
    """Read a JSON file of RTNeural, AIDA-X or GuitarML.

    The net has an input ``x`` [batch, time, inputs] and an output ``y`` [batch, time, outputs].

    Args:
        source: A path, or the file's bytes.

    Raises:
        NotReadableError: Layers are not supported; the error lists all of them.
        FileError: The file is missing, damaged or of another format.
    """
    name, data = bytes_of_file(source, WHAT)
    record = Record(name, json_of(name, data, WHAT))
    if "architecture" in record and "layers" not in record and "model_data" not in record:
        raise FileError(f"{name} is a file of Neural Amp Modeler; read it with rg.read_nam")
    return _guitarml(record) if "model_data" in record else _rtneural(record)


# RTNeural --------------------------------------------------------------------------------------------


def _rtneural(record: Record) -> Net:
    """Return the net in a file of RTNeural or AIDA-X. Raises ``NotReadableError`` for unsupported layers."""
    inputs = _end_of(record, "in_shape", "in_shape must end with the number of inputs")
    layers = record.records("layers")
    problems = [
        f"layer {number} of type {layer.text('type')!r}"
        for number, layer in enumerate(layers)
        if layer.text("type") not in _LAYERS
    ]
    activations = [(number, layer.text("activation", "")) for number, layer in enumerate(layers)]
    problems += [f"layer {number} with activation {name!r}" for number, name in activations if name not in _KNOWN]
    if problems:
        raise not_readable(record.name, problems)
    script = Script("A net that rnngraph read from a file of RTNeural.")
    x = script.input("x", (None, None, inputs))
    y = scaled = _with_gain(script, x, record, "in_gain")
    for layer in layers:
        y = _LAYERS[layer.text("type")](script, y, layer)
    if record.get("in_skip", 0):
        first = scaled if inputs == 1 else script.item(scaled, ..., slice(None, 1))
        y = script.operation("+", y, first)
    script.outputs["y"] = _with_gain(script, y, record, "out_gain")
    return Net(script)


def _with_gain(script: Script, x: Value, record: Record, key: str) -> Value:
    """Declare x times the gain in dB that the file's entry ``key`` has. A missing gain or 0 dB leaves x unchanged."""
    gain = numbers(record, key, record.get(key, 0.0), ())
    return script.operation("*", x, float(10 ** (float(gain) / 20))) if gain else x


def _arrays(layer: Record, *shapes: tuple[int, ...], minimum: int | None = None) -> list[np.ndarray]:
    """Return the arrays of a layer. Raises ``FileError`` if their number or shapes are wrong.

    Args:
        layer: The layer.
        shapes: Shape of each array.
        minimum: Minimum number of arrays if the last ones are optional; by default all are required.
    """
    arrays = layer.get("weights")
    least = len(shapes) if minimum is None else minimum
    if not isinstance(arrays, list) or not least <= len(arrays) <= len(shapes):
        count = len(shapes) if least == len(shapes) else f"{least} to {len(shapes)}"
        raise layer.error(f"{layer.at}.weights must be a list of {count} arrays")
    return [numbers(layer, f"{layer.at}.weights[{n}]", item, shapes[n]) for n, item in enumerate(arrays)]


def _units(layer: Record) -> int:
    return _end_of(layer, "shape", f"{layer.at}.shape must end with the number of outputs")


def _end_of(record: Record, key: str, otherwise: str) -> int:
    """Return the last size of a shape in the file, an int of 1 to 2**20.

    Args:
        record: The object that has the shape.
        key: Key of the shape.
        otherwise: Error message if the entry is not a valid shape.
    """
    shape = record.get(key)
    if not isinstance(shape, list) or not shape or not isinstance(shape[-1], int) or not 0 < shape[-1] <= 1 << 20:
        raise record.error(otherwise)
    return shape[-1]


def _activation(layer: Record) -> str | None:
    return layer.text("activation", "") or None


def _dense(script: Script, x: Value, layer: Record) -> Value:
    units, width = _units(layer), x.tensor.width
    kernel, *bias = _arrays(layer, (width, units), (units,), minimum=1)
    return declare_dense(script, x, kernel, bias[0] if bias else None, _activation(layer))


def _conv1d(script: Script, x: Value, layer: Record) -> Value:
    units, width = _units(layer), x.tensor.width
    size, dilation = _last_of(layer, "kernel_size"), _last_of(layer, "dilation")
    groups = layer.count("groups", 1)
    if width % groups or units % groups:
        raise layer.error(f"{layer.at} has {groups} groups, which do not divide {width} inputs and {units} outputs")
    kernel, *bias = _arrays(layer, (size, width // groups, units), (units,), minimum=1)
    scope = script.scope("conv1d")
    script.own(scope, {"kernel": kernel} | ({"bias": bias[0]} if bias else {}))
    options: dict[str, object] = {"dilation": dilation} if dilation > 1 else {}
    options |= {"groups": groups} if groups > 1 else {}
    options |= {"activation": _activation(layer)} if _activation(layer) else {}
    options |= {} if bias else {"use_bias": False}
    return script.call(conv1d, x, units, size, **options, name=scope)


def _last_of(layer: Record, key: str) -> int:
    """Return an option that is a positive int, or a list that ends with one: ``[1, 3]`` → 3."""
    option = layer.get(key)
    last = option[-1] if isinstance(option, list) and option else option
    return Record(layer.name, {key: last}, layer.at).count(key)


def _gru(script: Script, x: Value, layer: Record) -> Value:
    units, width = _units(layer), x.tensor.width
    kernel, recurrent, bias = _arrays(layer, (width, 3 * units), (units, 3 * units), (2, 3 * units))
    cell = gru_cell(units).declare(script)
    return _recurrent(script, x, cell, ORDERS["keras"]["gru"], kernel, recurrent, bias)


def _lstm(script: Script, x: Value, layer: Record) -> Value:
    units, width = _units(layer), x.tensor.width
    kernel, recurrent, bias = _arrays(layer, (width, 4 * units), (units, 4 * units), (4 * units,))
    cell = lstm_cell(units).declare(script)
    rows = np.stack([bias, np.zeros_like(bias)])
    return _recurrent(script, x, cell, ORDERS["keras"]["lstm"], kernel, recurrent, rows)


def _recurrent(
    script: Script, x: Value, cell: Value, order: str, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray
) -> Value:
    """Declare a recurrent layer of one cell, and return its outputs.

    Args:
        order: Letters of the gates, in the order of the arrays.
        kernel: [inputs, gates * units].
        recurrent: [units, gates * units].
        bias: [2, gates * units].
    """
    kernels, biases = (gates_of(kernel, order, 1), gates_of(recurrent, order, 1)), [gates_of(b, order, 0) for b in bias]
    return declare_stack(script, x, [cell], [Layer(*kernels, biases[0], biases[1])])


def _prelu(script: Script, x: Value, layer: Record) -> Value:
    array = numbers(layer, f"{layer.at}.weights", layer.get("weights")).reshape(-1)
    if array.size not in (1, x.tensor.width):
        raise layer.error(f"{layer.at}.weights has {array.size} numbers; it must have 1 or {x.tensor.width}")
    alpha = declare_parameter(script, "prelu", array, "alpha")
    return script.call(leaky_relu, x, alpha)


def _batch_normalization(script: Script, x: Value, layer: Record) -> Value:
    width, weights = x.tensor.width, layer.get("weights")
    plain = isinstance(weights, list) and len(weights) == 2  # gamma and beta are optional
    names = ("moving_mean", "moving_variance") if plain else ("gamma", "beta", "moving_mean", "moving_variance")
    arrays = _arrays(layer, *((width,),) * len(names))
    epsilon = float(numbers(layer, f"{layer.at}.epsilon", layer.get("epsilon"), ()))
    if epsilon < 0:
        raise layer.error(f"{layer.at}.epsilon is {epsilon}; it must not be negative")
    own = dict(zip(names, arrays, strict=True))
    return declare_batch_normalization(script, x, own, script.scope("batch_normalization"), epsilon=epsilon)


def _only_activation(script: Script, x: Value, layer: Record) -> Value:
    name = _activation(layer)
    return x if name is None else script.call(ACTIVATIONS[name], x)


_KNOWN = ("", "tanh", "relu", "sigmoid", "softmax", "elu")
"""Supported activations. Each has the same name in rnngraph; ``""`` stands for none."""
_LAYERS: Mapping[str, Callable[[Script, Value, Record], Value]] = {
    "dense": _dense,
    "time-distributed-dense": _dense,
    "conv1d": _conv1d,
    "gru": _gru,
    "lstm": _lstm,
    "prelu": _prelu,
    "batchnorm": _batch_normalization,
    "activation": _only_activation,
}


# GuitarML --------------------------------------------------------------------------------------------


_CELLS: Mapping[str, Callable[[int], CellKind]] = {"LSTM": lstm_cell, "GRU": gru_cell, "RNN": rnn_cell}


def _guitarml(record: Record) -> Net:
    """Return the net in a file of GuitarML. Raises ``NotReadableError`` for unsupported cells."""
    data, arrays = record.record("model_data"), record.record("state_dict")
    kind = data.text("unit_type", "LSTM")
    if kind not in _CELLS:
        raise not_readable(record.name, [f"unit_type {kind!r} is not supported; use LSTM, GRU or RNN"])
    inputs, outputs = data.count("input_size", 1), data.count("output_size", 1)
    hidden, count = data.count("hidden_size"), data.count("num_layers", 1, maximum=1000)
    script = Script("A net that rnngraph read from a file of GuitarML.")
    x = script.input("x", (None, None, inputs))
    cells, layers = [], []
    for number in range(count):
        cells.append(_CELLS[kind](hidden).declare(script))
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        present = [name for name in names if f"rec.{name}_l{number}" in arrays]
        layer_arrays = {name: arrays.array(f"rec.{name}_l{number}") for name in present}
        layers.append(torch_layer(cells[-1].result, layer_arrays))
    sequence = declare_stack(script, x, cells, layers)
    kernel = arrays.array("lin.weight", (outputs, hidden)).T
    y = declare_dense(script, sequence, kernel, arrays.array("lin.bias", (outputs,)) if "lin.bias" in arrays else None)
    if data.get("skip", 0):
        y = script.operation("+", y, x if inputs == outputs else script.item(x, ..., slice(None, outputs)))
    script.outputs["y"] = y
    return Net(script)
