"""2-D convolutions and pools with one open axis, against sums over windows that are written out here."""

from __future__ import annotations

import io
import json
from itertools import product
from typing import Any

import h5py
import numpy as np
import pytest
from keras_files import zipped
from numpy.testing import assert_allclose

import rnngraph as rg

WIDE = 4
LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("Conv2D", {"filters": 3, "kernel_size": [3, 2], "padding": "valid"}),
    "same": ("Conv2D", {"filters": 3, "kernel_size": [2, 3], "padding": "same", "strides": [2, 2]}),
    "apart": ("Conv2D", {"filters": 2, "kernel_size": [3, 2], "padding": "same", "dilation_rate": [2, 1]}),
    "groups": ("Conv2D", {"filters": 4, "kernel_size": [2, 2], "padding": "valid", "groups": 2}),
    "depths": ("DepthwiseConv2D", {"kernel_size": [2, 2], "padding": "same", "depth_multiplier": 2}),
    "largest": ("MaxPooling2D", {"pool_size": [2, 3], "padding": "same", "strides": [1, 2]}),
    "means": ("AveragePooling2D", {"pool_size": [3, 2], "padding": "same", "strides": [2, 1]}),
    "whole means": ("AveragePooling2D", {"pool_size": [2, 2], "padding": "valid", "strides": None}),
}
"""Layer of one input [batch, height, width, 2], by name."""


def drawn_arrays(kind: str, options: dict[str, Any]) -> list[np.ndarray]:
    if not kind.endswith("Conv2D"):
        return []
    draw = np.random.default_rng(len(options))
    size, groups = options["kernel_size"], options.get("groups", 1)
    shape = (*size, 2, 2) if kind == "DepthwiseConv2D" else (*size, 2 // groups, options["filters"])
    count = 4 if kind == "DepthwiseConv2D" else options["filters"]
    return [draw.normal(size=shape).astype(np.float32), draw.normal(size=count).astype(np.float32)]


def file_of(shape: list[int | None]) -> bytes:
    """Return a ``.keras`` file of all layers on an input of this shape."""
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"name": "x", "batch_shape": [None, *shape]},
            "name": "x",
            "inbound_nodes": [],
        }
    ]
    seen: dict[str, int] = {}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as weights:
        for name, (kind, options) in LAYERS.items():
            config = {"name": name, "trainable": True, **options}
            layers.append({"class_name": kind, "config": config, "name": name, "inbound_nodes": [[["x", 0, 0, {}]]]})
            place = {"Conv2D": "conv2d", "DepthwiseConv2D": "depthwise_conv2d"}.get(kind, "")
            for number, array in enumerate(drawn_arrays(kind, options)):
                count = seen.get(kind, 0)
                weights[f"layers/{place}{f'_{count}' if count else ''}/vars/{number}"] = array
            seen[kind] = seen.get(kind, 0) + 1
    ends = [[name, 0, 0] for name in LAYERS]
    config = {"name": "net", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": ends}
    whole = {"class_name": "Functional", "module": "keras", "config": config}
    members = {"metadata.json": b'{"keras_version": "2.15.0"}', "config.json": json.dumps(whole).encode()}
    return zipped(members | {"model.weights.h5": buffer.getvalue()})


def windows(size: int, options: dict[str, Any], axis: int) -> list[list[int]]:
    """Return the positions that each window reads along an axis, including those outside."""
    lengths = options.get("kernel_size") or options["pool_size"]
    strides = (options["strides"] or lengths) if "strides" in options else [1, 1]
    length, stride, dilation = lengths[axis], strides[axis], options.get("dilation_rate", [1, 1])[axis]
    span = dilation * (length - 1)
    count, before = (size - span - 1) // stride + 1, 0
    if options["padding"] == "same":
        count = -(-size // stride)
        before = max((count - 1) * stride + span + 1 - size, 0) // 2
    return [[number * stride - before + entry * dilation for entry in range(length)] for number in range(count)]


def expected(x: np.ndarray, kind: str, options: dict[str, Any]) -> np.ndarray:
    rows, columns = (windows(x.shape[1 + axis], options, axis) for axis in (0, 1))
    outputs = []
    for high, wide in product(rows, columns):
        places = [
            (row, column, x[:, a, b])
            for row, a in enumerate(high)
            for column, b in enumerate(wide)
            if 0 <= a < x.shape[1] and 0 <= b < x.shape[2]
        ]
        values = np.stack([value for _, _, value in places])
        if not kind.endswith("Conv2D"):
            outputs.append(values.max(0) if kind == "MaxPooling2D" else values.mean(0))
            continue
        kernel, bias = drawn_arrays(kind, options)
        total = np.zeros((x.shape[0], len(bias))) + bias
        for row, column, value in places:
            part = kernel[row, column]
            if kind == "DepthwiseConv2D":
                total += (value[:, :, None] * part).reshape(x.shape[0], -1)
            else:
                groups, each = 2 // part.shape[0], part.shape[1] * part.shape[0] // 2
                total += np.concatenate(
                    [
                        value[:, group * part.shape[0] : (group + 1) * part.shape[0]]
                        @ part[:, group * each : (group + 1) * each]
                        for group in range(groups)
                    ],
                    axis=1,
                )
        outputs.append(total)
    return np.stack(outputs, 1).reshape(x.shape[0], len(rows), len(columns), -1)


@pytest.mark.parametrize("shape", [[None, WIDE, 2], [WIDE, None, 2], [6, WIDE, 2]])
def test_windows_over_pictures(shape: list[int | None]) -> None:
    program = rg.read_keras(file_of(shape)).program()
    high, wide = ((size or 7) for size in shape[:2])
    x = np.random.default_rng(1).normal(size=(2, high, wide, 2)).astype(np.float32)
    actual = program.inference(x=x)
    for name, (kind, options) in LAYERS.items():
        assert_allclose(actual[name], expected(x, kind, options), atol=1e-5, err_msg=name)


def test_pictures_of_open_sizes_are_refused() -> None:
    with pytest.raises(rg.NotReadableError, match="both axes of its input are symbolic; fix the size of one") as caught:
        rg.read_keras(file_of([None, None, 2]))
    assert len(caught.value.problems) == len(LAYERS)
