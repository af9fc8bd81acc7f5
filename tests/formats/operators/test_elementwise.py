"""TensorFlow's elementwise functions at NaN, reversed bounds and inexact quotients: values of TensorFlow 1.15.5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.formats.operators import elementwise
from rnngraph.formats.operators.backend import TensorBackend

NAN, INF = np.nan, np.inf
X = np.array([-3, -1, 0, 1, 2, 5, NAN, INF], np.float32)
Y = np.array([0, NAN, -0.0, 2, 0.1, -2, 1, NAN], np.float32)


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (lambda b, x, y: elementwise.maximum(b, x, y), [0, -1, 0, 2, 2, 5, NAN, INF]),
        (lambda b, x, y: elementwise.minimum(b, x, y), [-3, -1, 0, 1, 0.1, -2, NAN, INF]),
        (lambda b, x, y: elementwise.clip_by_value(b, x, -1, 1), [-1, -1, 0, 1, 1, 1, NAN, 1]),
        (lambda b, x, y: elementwise.clip_by_value(b, x, 2, -2), [2, 2, 2, 2, 2, 2, NAN, 2]),
        (lambda b, x, y: elementwise.clip_by_value(b, x, NAN, 1), [-3, -1, 0, 1, 1, 1, NAN, 1]),
        (lambda b, x, y: elementwise.clip_by_value(b, x, 0, NAN), [0, 0, 0, 1, 2, 5, NAN, INF]),
        (lambda b, x, y: elementwise.floor_divide(b, x, y), [-INF, NAN, NAN, 0, 20, -3, NAN, NAN]),
        (lambda b, x, y: elementwise.sign(b, x), [-1, -1, 0, 1, 1, 1, 0, 1]),
    ],
)
def test_values_of_tensorflow(function: Callable[..., rg.Tensor], wanted: list[float]) -> None:
    x, y = rg.placeholder("x", (None,)), rg.placeholder("y", (None,))
    outputs = {"z": function(TensorBackend(), x, y), "both": x + y}
    np.testing.assert_array_equal(rg.compile(outputs).inference(x=X, y=Y)["z"], np.array(wanted, np.float32))


def test_the_gradient_of_equal_operands_is_the_first_ones() -> None:
    x, y = rg.placeholder("x", (None,)), rg.placeholder("y", (None,))
    backend: Any = TensorBackend()
    total = rg.reduce_sum(elementwise.maximum(backend, x, y) + elementwise.clip_by_value(backend, x, 1, 2))
    ones = np.ones(3, np.float32)
    _, gradients = rg.compile(total, loss=total).training.gradients({"x": ones, "y": ones}, wrt=["x", "y"])
    np.testing.assert_array_equal(gradients["x"], 2 * ones)
    np.testing.assert_array_equal(gradients["y"], 0 * ones)
