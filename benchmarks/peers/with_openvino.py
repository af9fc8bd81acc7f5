"""OpenVINO: the same ONNX operators as onnxruntime; float32, one stream, with hints for low latency."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from workloads import Call, Row

import peers

from . import onnx_nets

VERSION = openvino.__version__.partition("-")[0]


def inference(row: Row) -> list[Call]:
    if not onnx_nets.has(row):
        return []
    request, feed = _request(row, carried=False), onnx_nets.feeds(row)
    return [lambda: request.infer(feed, share_inputs=True, share_outputs=True)]


def training(row: Row) -> list[Call]:
    """Return no calls, because OpenVINO computes no gradients."""
    return []


def one_step(row: Row) -> list[Call]:
    """Return the call of one step, with two buffers for the state: each call reads the one that the last call wrote."""
    if not onnx_nets.steps(row):
        return []
    compiled = _compiled(row, carried=True)
    names = [port.any_name for port in compiled.inputs[1:]]
    state, x = (1, row.batch, row.units), openvino.Tensor(row.time_major())
    sides = [{name: openvino.Tensor(np.zeros(state, np.float32)) for name in names} for _ in range(2)]
    requests = []
    for before, after in (sides, sides[::-1]):
        request = compiled.create_infer_request()
        request.set_tensor("x", x)
        for name in names:
            request.set_tensor(name, before[name])
            request.set_tensor(f"{name}_after", after[name])
        requests.append(request)

    def call() -> object:
        request = requests[0]
        request.infer(share_outputs=True)
        requests.reverse()
        return {0: request.get_output_tensor(0).data}

    return [call]


def outputs(row: Row, result: Any) -> np.ndarray:
    return onnx_nets.joined(result[0])


def _request(row: Row, carried: bool) -> Any:
    return _compiled(row, carried).create_infer_request()


def _compiled(row: Row, carried: bool) -> Any:
    options = {
        "INFERENCE_NUM_THREADS": peers.THREADS,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    return core.compile_model(core.read_model(onnx_nets.model(row, carried)), "CPU", options)
