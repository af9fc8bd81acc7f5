"""Keras' elementwise operations at signed zeros, infinities, NaN, small and large numbers: Keras' values, on torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from element_points import are_near, assert_all, signed_points

import rnngraph as rg

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", exc_type=ImportError)
pytestmark = pytest.mark.peers

POINTS = signed_points(1e-40, 89.2, 300)
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
    (actual,) = net.program().inference(dict(zip(net.inputs, arrays, strict=True))).values()
    wanted = model(arrays if len(arrays) > 1 else arrays[0])
    return np.asarray(keras.ops.convert_to_numpy(wanted)), np.asarray(actual)


def check(wanted: Any, actual: Any, *where: Any) -> None:
    assert_all(are_near(actual, wanted, 1e-6, 2e-38), wanted, actual, *where)


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_operation_of_one_value(name: str, tmp_path: Path) -> None:
    x = POINTS[:, None]
    check(*both(getattr(keras.ops, name), [x], tmp_path), x)


@pytest.mark.parametrize("name", PAIRS)
def test_an_operation_of_two_values(name: str, tmp_path: Path) -> None:
    a, b = (item.ravel()[:, None] for item in np.meshgrid(POINTS, POINTS))
    wanted, actual = both(getattr(keras.ops, name), [a, b], tmp_path)
    if name == "mod":  # torch's remainder of a large quotient is NaN, rnngraph's is exact
        unknown = np.isnan(wanted) & np.isfinite(a) & (b != 0)
        wanted = np.where(unknown, actual, wanted)
    check(wanted, actual, a, b)
