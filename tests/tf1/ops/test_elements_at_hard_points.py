"""TensorFlow 1.x's elementwise functions at hard points, against TensorFlow 1.15.5's recorded values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnngraph import tf1 as tf

A = np.array([-1, 1, -1e-20, -1, 1, 1, 1, 1e30, 5, np.inf, -1e-3], np.float32)
B = np.array([1, -1, 1, np.inf, -np.inf, 0.1, 1e-30, 1e-30, 0, 2, 1e6], np.float32)
N = np.array([-7, 7, 2**53 + 1, -(2**62)])
M = np.array([2, -2, 3, 7])
NAN, INFINITY = np.nan, np.inf


def run(function: Callable[..., Any], *arrays: Any) -> Any:
    with tf.Session() as session:
        return session.run(function(*map(tf.constant, arrays)))


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (tf.floormod, [0, 0, 1, INFINITY, -INFINITY, 0.0999999, 7.272101e-31, 8.166816e-31, NAN, NAN, 1e6]),
        (tf.truncatemod, [0, 0, -1e-20, -1, 1, 0.0999999, 7.272101e-31, 8.166816e-31, NAN, NAN, -1e-3]),
        (tf.floordiv, [-1, -1, -1, 0, 0, 10, 1e30, INFINITY, INFINITY, INFINITY, -1]),
        (tf.mod, [0, 0, 1, INFINITY, -INFINITY, 0.0999999, 7.272101e-31, 8.166816e-31, NAN, NAN, 1e6]),
    ],
)
def test_quotients_and_remainders(function: Callable[..., Any], wanted: list[float]) -> None:
    np.testing.assert_allclose(run(function, A, B), np.array(wanted, np.float32), rtol=1e-6)


def test_whole_numbers() -> None:
    assert run(tf.floordiv, N, M).tolist() == [-4, -4, 3002399751580331, -658812288346769701]
    assert run(tf.floormod, N, M).tolist() == [1, -1, 0, 3]
    assert run(tf.truncatediv, N, M).tolist() == [-3, -3, 3002399751580331, -658812288346769700]
    assert run(lambda n, m: n // m + n % m, N, M).tolist() == [-3, -5, 3002399751580331, -658812288346769698]


@pytest.mark.parametrize(
    ("function", "x", "wanted"),
    [
        (tf.sinh, [-np.inf, -20, 1e-8, 100], [-INFINITY, -242582592.0, 1e-8, INFINITY]),
        (tf.asinh, [-1e30, -100, 1e30], [-69.7707, -5.2983422, 69.7707]),
        (tf.acosh, [-1e30, 0, 20, 1e30], [NAN, NAN, 3.6882539, 69.7707]),
        (tf.sign, [-np.inf, -0.0, np.nan, 3], [-1, 0, 0, 1]),
        (tf.erfc, [-np.inf, 0, 5], [2, 1, 1.5374598e-12]),
        (tf.nn.swish, [-1e30, 20, np.inf], [0, 20, INFINITY]),
    ],
)
def test_functions_of_one_number(function: Callable[..., Any], x: list[float], wanted: list[float]) -> None:
    np.testing.assert_allclose(run(function, np.array(x, np.float32)), np.array(wanted, np.float32), rtol=1e-6)


def test_powers() -> None:
    a = np.array([-2, -2, 0, 0, np.inf, -8], np.float32)
    b = np.array([2, 3, 0, 2, 0, 1 / 3], np.float32)
    np.testing.assert_array_equal(run(tf.pow, a, b), np.array([4, -8, 1, 0, 1, NAN], np.float32))
