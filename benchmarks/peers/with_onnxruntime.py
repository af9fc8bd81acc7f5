"""onnxruntime: one operator a layer, weights as initializers so that the runtime may pack them ahead."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import weights
from onnx import helper, numpy_helper
from workloads import Call, Row

import peers

VERSION = onnxruntime.__version__

OPERATORS = {"RNN": "RNN", "LSTM": "LSTM", "GRU": "GRU", "GRU before": "GRU", "peephole": "LSTM"}
ORDERS = {"RNN": (0,), "LSTM": (0, 3, 2, 1), "GRU": (1, 0, 2)}
"""The operators' gates, by place among those of our cells."""
FORGET_BIAS = 1.0
"""Our cells add it at run time; an operator has it in its bias."""


def inference(row: Row) -> list[Call]:
    if not _has(row):
        return []
    session, feed = _session(row, carried=False), {"x": row.time_major()}
    lengths = row.lengths()
    if lengths is not None:
        feed["n"] = lengths.astype(np.int32)
    return [lambda: session.run(None, feed)]


def quantized(row: Row) -> Call:
    """The net as ``quantize_dynamic`` makes it: DynamicQuantizeLSTM, weights of 8 bits with sign."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        whole, narrow = Path(folder) / "whole.onnx", Path(folder) / "narrow.onnx"
        whole.write_bytes(_model(row, carried=False))
        quantize_dynamic(whole, narrow, weight_type=QuantType.QInt8)
        session = _loaded(narrow.read_bytes())
    feed = {"x": row.time_major()}
    return lambda: session.run(None, feed)


def training(row: Row) -> list[Call]:
    """The runtime has no derivatives."""
    return []


def one_step(row: Row) -> list[Call]:
    """Feeds and results as arrays, and bound to buffers that change their places at every step."""
    if not _has(row) or row.bidirectional or row.ended:
        return []
    session = _session(row, carried=True)
    return [_with_arrays(session, row), _with_bound_buffers(session, row)]


def outputs(row: Row, result: Any) -> np.ndarray:
    """An operator gives [time, directions, batch, hidden]."""
    return np.concatenate(list(np.moveaxis(result[0], 1, 0)), -1)


def _has(row: Row) -> bool:
    return row.cell in OPERATORS and not row.projection


def _with_arrays(session: Any, row: Row) -> Call:
    names = [given.name for given in session.get_inputs()[1:]]
    feed = {"x": row.time_major()} | {name: np.zeros((1, row.batch, row.units), np.float32) for name in names}

    def call() -> object:
        made = session.run(None, feed)
        feed.update(zip(names, made[1:], strict=True))
        return made

    return call


def _with_bound_buffers(session: Any, row: Row) -> Call:
    """What a step writes the next one reads."""
    names, output = [given.name for given in session.get_inputs()[1:]], session.get_outputs()[0].name
    value = onnxruntime.OrtValue.ortvalue_from_numpy
    x, made = value(row.time_major()), value(np.zeros((1, 1, row.batch, row.units), np.float32))
    state = (1, row.batch, row.units)
    sides = [{name: value(np.zeros(state, np.float32)) for name in names} for _ in range(2)]
    bindings = []
    for before, after in (sides, sides[::-1]):
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", x)
        binding.bind_ortvalue_output(output, made)
        for name in names:
            binding.bind_ortvalue_input(name, before[name])
            binding.bind_ortvalue_output(f"{name}_after", after[name])
        bindings.append(binding)

    def call() -> object:
        session.run_with_iobinding(bindings[0])
        bindings.reverse()
        return [made.numpy()]

    return call


def _session(row: Row, carried: bool) -> onnxruntime.InferenceSession:
    return _loaded(_model(row, carried))


def _loaded(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = peers.THREADS, 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _model(row: Row, carried: bool) -> bytes:
    """The outputs of the last layer's operator. carried: every layer's state is fed and given, too."""
    operator, kind = OPERATORS[row.cell], onnx.TensorProto.FLOAT
    cells, value = weights.drawn(row), helper.make_tensor_value_info
    state = [1, row.batch, row.units]
    nodes, constants, last = [], {}, "x"
    inputs = [value("x", kind, [row.time, row.batch, row.inputs])]
    results = [value(f"y{row.layers - 1}", kind, [row.time, row.directions, row.batch, row.units])]
    if row.ended:
        inputs.append(value("n", onnx.TensorProto.INT32, [row.batch]))
    for layer in range(row.layers):
        sides = cells[layer * row.directions : (layer + 1) * row.directions]
        named = {f"{name}{layer}": values for name, values in _operands(row, sides).items()}
        constants |= named
        states = [f"{name}{layer}" for name in ("hc" if operator == "LSTM" else "h")] if carried else []
        inputs += [value(name, kind, state) for name in states]
        results += [value(f"{name}_after", kind, state) for name in states]
        given = [last, f"W{layer}", f"R{layer}", f"B{layer}", "n" if row.ended else "", *(states or [""])]
        given += ["" for _ in range(7 - len(given))] + [f"P{layer}"] if f"P{layer}" in named else []
        options: dict[str, Any] = {"direction": "bidirectional"} if row.bidirectional else {}
        if operator == "GRU":
            options["linear_before_reset"] = int(row.cell == "GRU")
        made = [f"y{layer}", *(f"{name}_after" for name in states)]
        nodes.append(helper.make_node(operator, given, made, hidden_size=row.units, **options))
        if layer + 1 < row.layers:
            last = f"s{layer}"
            nodes += _joined(row, f"y{layer}", last)
    if row.layers > 1:
        constants["axis or shape"] = np.array([0, 0, 2 * row.units] if row.bidirectional else [1], np.int64)
    initializers = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, results, initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


def _joined(row: Row, given: str, made: str) -> list[Any]:
    """Directions side by side, as the next layer reads them."""
    if not row.bidirectional:
        return [helper.make_node("Squeeze", [given, "axis or shape"], [made])]
    return [
        helper.make_node("Transpose", [given], [f"{made} turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"{made} turned", "axis or shape"], [made]),
    ]


def _operands(row: Row, sides: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """W, R, B and P of an operator, [directions, …]: rows, gates in its order, two biases beside each other."""
    found: dict[str, list[np.ndarray]] = {"W": [], "R": [], "B": []}
    for cell in sides:
        b, c = cell["b"].copy(), np.zeros_like(cell["b"])
        if "c" in cell:
            c[2 * row.units :] = cell["c"]
        if OPERATORS[row.cell] == "LSTM":
            b[2 * row.units : 3 * row.units] += FORGET_BIAS
        order = np.concatenate([np.arange(row.units) + gate * row.units for gate in ORDERS[OPERATORS[row.cell]]])
        found["W"].append(cell["W"].T[order])
        found["R"].append(cell["U"].T[order])
        found["B"].append(np.concatenate([b[order], c[order]]))
        if "P" in cell:
            i, f, o = cell["P"]
            found.setdefault("P", []).append(np.concatenate([i, o, f]))
    return {name: np.ascontiguousarray(np.stack(values)) for name, values in found.items()}
