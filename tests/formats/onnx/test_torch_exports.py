"""Modules of torch, written by its exporter, against onnxruntime at several sizes with one program."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

pytest.importorskip("onnx")
pytest.importorskip("torch.nn", exc_type=ImportError)

pytestmark = pytest.mark.peers
SIZES = ({"batch": 2, "time": 9, "out": 4}, {"batch": 5, "time": 12, "out": 3}, {"batch": 1, "time": 7, "out": 1})


def exported(case: Any, opset: int) -> bytes:
    import torch

    stream, names = io.BytesIO(), ["x", "y", "z"][: len(case.inputs)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            case.module(),
            tuple(tensor for tensor, _ in case.inputs),
            stream,
            dynamo=False,
            input_names=names,
            dynamic_axes={name: axes for name, (_, axes) in zip(names, case.inputs, strict=True)},
            opset_version=opset,
        )
    return stream.getvalue()


def feeds_of(case: Any, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    draw, results = np.random.default_rng(0), {}
    for name, (tensor, axes) in zip("xyz", case.inputs, strict=False):
        shape = [sizes[axes[axis]] if axis in axes else size for axis, size in enumerate(tensor.shape)]
        if tensor.dtype.is_floating_point:
            results[name] = draw.normal(size=shape).astype(np.float32)
        elif tensor.ndim == 1:  # lengths, in descending order
            lengths = [*draw.integers(1, sizes["time"] + 1, shape[0] - 1), sizes["time"]]
            results[name] = np.sort(lengths)[::-1].copy()
        else:
            results[name] = draw.integers(0, 11, shape)
    return results


def check(case: Any, opset: int) -> None:
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(3)
    data = exported(case, opset)
    net = rg.read_onnx(data)
    program, session = net.program(), runtime.InferenceSession(data)
    assert net.parameters.keys() == program.parameters.keys(), case.name
    for sizes in SIZES:
        feeds = feeds_of(case, sizes)
        expected = session.run(None, {item.name: feeds[item.name] for item in session.get_inputs()})
        result = program.inference({key: array for key, array in feeds.items() if key in net.inputs})
        for key, array in zip(net.outputs, expected, strict=True):
            where = f"{case.name} {sizes} {key}"
            assert result[key].shape == array.shape, where
            np.testing.assert_allclose(result[key], array, atol=2e-5, rtol=2e-5, err_msg=where)


def test_some_modules_give_the_numbers_of_onnxruntime() -> None:
    from torch_modules import cases

    for case in cases():
        if case.name in ("2 LSTM, batches first, states", "packed", "convolutions"):
            check(case, 17)


@pytest.mark.exhaustive
@pytest.mark.parametrize("opset", [14, 17, 20])
def test_all_modules_give_the_numbers_of_onnxruntime(opset: int) -> None:
    from torch_modules import cases

    modules = cases()
    for case in modules:
        check(case, opset)
    print(f"\n{len(modules)} modules of torch at opset {opset}")
