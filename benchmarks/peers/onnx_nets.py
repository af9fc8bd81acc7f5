"""Builds workloads as ONNX models for several peers: one operator for each layer, and weights as initializers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import weights
from onnx import helper, numpy_helper
from workloads import Row

OPERATORS = {"RNN": "RNN", "LSTM": "LSTM", "GRU": "GRU", "GRU before": "GRU", "peephole": "LSTM"}
ORDERS = {"RNN": (0,), "LSTM": (0, 3, 2, 1), "GRU": (1, 0, 2)}
"""Gates of ONNX's operators in order, as indices into rnngraph's order, by operator."""
FORGET_BIAS = 1.0
"""Forget bias, which rnngraph's cells add at run time. For ONNX's operators, it is part of the bias."""


def has(row: Row) -> bool:
    """True if ONNX has an operator for a workload's cell."""
    return row.cell in OPERATORS and not row.projection


def steps(row: Row) -> bool:
    """True if ONNX's operator for a workload can run single steps with carried states."""
    return has(row) and not row.bidirectional and not row.ended


def feeds(row: Row) -> dict[str, np.ndarray]:
    """Return the feeds of ``model(row, carried=False)``."""
    fed, lengths = {"x": row.time_major()}, row.lengths()
    return fed if lengths is None else fed | {"n": lengths.astype(np.int32)}


def joined(output: np.ndarray) -> np.ndarray:
    """Convert an operator's output [time, directions, batch, hidden] to [time, batch, directions * hidden]."""
    return np.concatenate(list(np.moveaxis(output, 1, 0)), -1)


def model(row: Row, carried: bool) -> bytes:
    """Return a workload as a serialized model. ``carried``: the states of all layers are inputs and outputs."""
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
        operands = [last, f"W{layer}", f"R{layer}", f"B{layer}", "n" if row.ended else "", *(states or [""])]
        operands += ["" for _ in range(7 - len(operands))] + [f"P{layer}"] if f"P{layer}" in named else []
        options: dict[str, Any] = {"direction": "bidirectional"} if row.bidirectional else {}
        if operator == "GRU":
            options["linear_before_reset"] = int(row.cell == "GRU")
        names = [f"y{layer}", *(f"{name}_after" for name in states)]
        nodes.append(helper.make_node(operator, operands, names, hidden_size=row.units, **options))
        if layer + 1 < row.layers:
            last = f"s{layer}"
            nodes += _joined(row, f"y{layer}", last)
    if row.layers > 1:
        constants["axis or shape"] = np.array([0, 0, 2 * row.units] if row.bidirectional else [1], np.int64)
    initializers = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, results, initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return proto.SerializeToString()


def _joined(row: Row, source: str, target: str) -> list[Any]:
    """Return nodes that concatenate directions, as the next layer reads them."""
    if not row.bidirectional:
        return [helper.make_node("Squeeze", [source, "axis or shape"], [target])]
    return [
        helper.make_node("Transpose", [source], [f"{target} turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"{target} turned", "axis or shape"], [target]),
    ]


def _operands(row: Row, sides: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return W, R, B and P of an operator, [directions, …], with gates as rows in ONNX's order."""
    operands: dict[str, list[np.ndarray]] = {"W": [], "R": [], "B": []}
    for cell in sides:
        b, c = cell["b"].copy(), np.zeros_like(cell["b"])
        if "c" in cell:
            c[2 * row.units :] = cell["c"]
        if OPERATORS[row.cell] == "LSTM":
            b[2 * row.units : 3 * row.units] += FORGET_BIAS
        order = np.concatenate([np.arange(row.units) + gate * row.units for gate in ORDERS[OPERATORS[row.cell]]])
        operands["W"].append(cell["W"].T[order])
        operands["R"].append(cell["U"].T[order])
        operands["B"].append(np.concatenate([b[order], c[order]]))
        if "P" in cell:
            i, f, o = cell["P"]
            operands.setdefault("P", []).append(np.concatenate([i, o, f]))
    return {name: np.ascontiguousarray(np.stack(values)) for name, values in operands.items()}
