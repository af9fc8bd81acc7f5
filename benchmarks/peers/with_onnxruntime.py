"""onnxruntime: one operator a layer, weights as initializers so that the runtime may pack them ahead."""

from __future__ import annotations

import io

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from workloads import Call, Row

import peers

VERSION = onnxruntime.__version__

OPERATORS = {"RNN": "RNN", "LSTM": "LSTM", "GRU": "GRU", "GRU before": "GRU", "peephole": "LSTM"}


def inference(row: Row) -> Call | None:
    if row.cell not in OPERATORS:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = peers.THREADS, 1
    session = onnxruntime.InferenceSession(_model(row), options, providers=["CPUExecutionProvider"])
    feed = {"x": row.time_major()}
    return lambda: session.run(None, feed)


def training(row: Row) -> None:
    """The runtime has no derivatives."""


def _model(row: Row) -> bytes:
    operator = OPERATORS[row.cell]
    nodes, weights, last = [], [], "x"
    for layer, values in enumerate(row.weights()):
        bias = np.concatenate([values["b"], np.zeros_like(values["b"])])
        named = {f"W{layer}": values["W"].T, f"R{layer}": values["U"].T, f"B{layer}": bias}
        given = ["", f"W{layer}", f"R{layer}", f"B{layer}"]
        if "P" in values:
            named[f"P{layer}"] = values["P"].reshape(-1)
            given += ["", "", "", f"P{layer}"]
        weights += [numpy_helper.from_array(np.ascontiguousarray(a)[None], name) for name, a in named.items()]
        given[0] = last
        extra = {"linear_before_reset": int(row.cell == "GRU")} if operator == "GRU" else {}
        nodes.append(helper.make_node(operator, given, [f"y{layer}"], hidden_size=row.units, **extra))
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", "axis"], [f"s{layer}"]))  # the axis of directions
        last = f"s{layer}"
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    kind = onnx.TensorProto.FLOAT
    given = helper.make_tensor_value_info("x", kind, [row.time, row.batch, row.inputs])
    made = helper.make_tensor_value_info(last, kind, [row.time, row.batch, row.units])
    graph = helper.make_graph(nodes, "g", [given], [made], weights)
    file = io.BytesIO()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file.getvalue()
