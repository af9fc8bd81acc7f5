"""tract: the same ONNX operators as onnxruntime. It runs on one core."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tract
from workloads import Call, Row

import peers

from . import onnx_nets

VERSION = tract.version()


def inference(row: Row) -> list[Call]:
    if not onnx_nets.has(row) or row.ended or peers.THREADS > 1:
        return []
    runnable, feed = _runnable(row, carried=False), [tract.Tensor.from_numpy(row.time_major())]
    return [lambda: runnable.run(feed)]


def training(row: Row) -> list[Call]:
    """Return no calls, because tract computes no gradients."""
    return []


def one_step(row: Row) -> list[Call]:
    """Return the call of one step. Its resulting state is the next call's input, without a copy."""
    if not onnx_nets.steps(row) or peers.THREADS > 1:
        return []
    runnable, x = _runnable(row, carried=True), tract.Tensor.from_numpy(row.time_major())
    zeros = np.zeros((1, row.batch, row.units), np.float32)
    states = [tract.Tensor.from_numpy(zeros) for _ in range(runnable.input_count() - 1)]

    def call() -> object:
        results = runnable.run([x, *states])
        states[:] = results[1:]
        return results

    return [call]


def outputs(row: Row, result: Any) -> np.ndarray:
    return onnx_nets.joined(result[0].to_numpy())


def _runnable(row: Row, carried: bool) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        path.write_bytes(onnx_nets.model(row, carried))
        return tract.onnx().load(path).into_model().into_runnable()
