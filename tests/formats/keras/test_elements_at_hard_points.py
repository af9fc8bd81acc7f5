"""Keras' elementwise operations at signed zeros, infinities, NaN, small and large numbers: Keras' values, on torch."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", exc_type=ImportError)
pytestmark = pytest.mark.peers

MAGNITUDES = [
    0,
    1e-30,
    1e-8,
    1e-4,
    0.1,
    0.3,
    0.5,
    0.75,
    1,
    1.5,
    2,
    2.5,
    3,
    5,
    7,
    20,
    80,
    88.5,
    100,
    1e5,
    1e10,
    1e20,
    1e30,
    3.4028235e38,
    math.inf,
    math.nan,
]
POINTS = np.array(MAGNITUDES + [-item for item in MAGNITUDES], np.float32)
ELEMENTS = (
    "absolute",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "celu",
    "ceil",
    "cosh",
    "deg2rad",
    "elu",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "leaky_relu",
    "log",
    "log10",
    "log1p",
    "log2",
    "log_sigmoid",
    "nan_to_num",
    "negative",
    "reciprocal",
    "relu",
    "relu6",
    "round",
    "rsqrt",
    "selu",
    "sigmoid",
    "signbit",
    "sinh",
    "soft_shrink",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "tanh",
    "trunc",
)
PAIRS = ("arctan2", "hypot", "power", "logaddexp", "mod", "floor_divide", "maximum", "minimum")


def both(function: Any, arrays: list[Any], folder: Path) -> tuple[Any, Any]:
    """Return Keras' values and rnngraph's."""
    inputs = [keras.Input((1,)) for _ in arrays]
    model = keras.Model(inputs, function(*inputs))
    model.save(folder / "net.keras")
    net = rg.read_keras(folder / "net.keras")
    (found,) = net.program().inference(dict(zip(net.inputs, arrays, strict=True))).values()
    wanted = model(arrays if len(arrays) > 1 else arrays[0])
    return np.asarray(keras.ops.convert_to_numpy(wanted)), np.asarray(found)


def check(wanted: Any, found: Any, *where: Any) -> None:
    with np.errstate(invalid="ignore"):
        near = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
        if wanted.dtype.kind == "f":
            near |= np.abs(found - wanted) <= np.maximum(np.abs(wanted) * np.float32(1e-6), np.float32(2e-38))
    assert near.all(), [*zip(*(item[~near] for item in where), found[~near], wanted[~near], strict=True)][:6]


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_operation_of_one_value(name: str, tmp_path: Path) -> None:
    x = POINTS[:, None]
    check(*both(getattr(keras.ops, name), [x], tmp_path), x)


@pytest.mark.parametrize("name", PAIRS)
def test_an_operation_of_two_values(name: str, tmp_path: Path) -> None:
    a, b = (item.ravel()[:, None] for item in np.meshgrid(POINTS, POINTS))
    wanted, found = both(getattr(keras.ops, name), [a, b], tmp_path)
    if name == "mod":  # torch's remainder of a large quotient is NaN, rnngraph's is exact
        unknown = np.isnan(wanted) & np.isfinite(a) & (b != 0)
        wanted = np.where(unknown, found, wanted)
    check(wanted, found, a, b)
