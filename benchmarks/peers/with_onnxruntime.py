"""onnxruntime: one operator for each layer, with weights as initializers, so that it can pack them when loading."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from workloads import Call, Row

import peers

from . import onnx_nets

VERSION = onnxruntime.__version__


def inference(row: Row) -> list[Call]:
    if not onnx_nets.has(row):
        return []
    session, feed = _session(row, carried=False), onnx_nets.feeds(row)
    return [lambda: session.run(None, feed)]


def quantized(row: Row) -> Call:
    """Return the net as ``quantize_dynamic`` converts it: DynamicQuantizeLSTM with signed 8-bit weights."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        whole, narrow = Path(folder) / "whole.onnx", Path(folder) / "narrow.onnx"
        whole.write_bytes(onnx_nets.model(row, carried=False))
        quantize_dynamic(whole, narrow, weight_type=QuantType.QInt8)
        session = _loaded(narrow.read_bytes())
    feed = {"x": row.time_major()}
    return lambda: session.run(None, feed)


def training(row: Row) -> list[Call]:
    """Return no calls, because onnxruntime computes no gradients."""
    return []


def one_step(row: Row) -> list[Call]:
    """Return two variants of the call of one step: with arrays as feeds and results, and with two buffers in turn."""
    if not onnx_nets.steps(row):
        return []
    session = _session(row, carried=True)
    return [_with_arrays(session, row), _with_bound_buffers(session, row)]


def outputs(row: Row, result: Any) -> np.ndarray:
    return onnx_nets.joined(result[0])


def _with_arrays(session: Any, row: Row) -> Call:
    names = [item.name for item in session.get_inputs()[1:]]
    feed = {"x": row.time_major()} | {name: np.zeros((1, row.batch, row.units), np.float32) for name in names}

    def call() -> object:
        results = session.run(None, feed)
        feed.update(zip(names, results[1:], strict=True))
        return results

    return call


def _with_bound_buffers(session: Any, row: Row) -> Call:
    """Return a step with two state buffers, where each step reads the buffer that the previous step wrote."""
    names, output = [item.name for item in session.get_inputs()[1:]], session.get_outputs()[0].name
    value = onnxruntime.OrtValue.ortvalue_from_numpy
    x, results = value(row.time_major()), value(np.zeros((1, 1, row.batch, row.units), np.float32))
    state = (1, row.batch, row.units)
    sides = [{name: value(np.zeros(state, np.float32)) for name in names} for _ in range(2)]
    bindings = []
    for before, after in (sides, sides[::-1]):
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", x)
        binding.bind_ortvalue_output(output, results)
        for name in names:
            binding.bind_ortvalue_input(name, before[name])
            binding.bind_ortvalue_output(f"{name}_after", after[name])
        bindings.append(binding)

    def call() -> object:
        session.run_with_iobinding(bindings[0])
        bindings.reverse()
        return [results.numpy()]

    return call


def _session(row: Row, carried: bool) -> onnxruntime.InferenceSession:
    return _loaded(onnx_nets.model(row, carried))


def _loaded(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = peers.THREADS, 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
