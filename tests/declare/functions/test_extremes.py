"""Extremes at ties, NaN and signed zeros, against torch's rules, and straight-through gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import rnngraph as rg

NAN = np.nan
A = np.array([1, 2, 3, NAN, 1, -1], np.float32)
B = np.array([1, 3, 2, 1, NAN, -1], np.float32)


def gradients(function: Callable[[rg.Tensor, rg.Tensor], rg.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    a, b = rg.placeholder("a", (None,)), rg.placeholder("b", (None,))
    total = rg.reduce_sum(function(a, b))
    program = rg.compile({"both": a + b}, loss=total)
    _, gradients = program.training.gradients({"a": A, "b": B}, wrt=["a", "b"])
    return gradients["a"], gradients["b"]


@pytest.mark.parametrize(
    ("ties", "first", "second"),
    [
        ("second", [0, 0, 1, 0, 0, 0], [1, 1, 0, 1, 1, 1]),
        ("first", [1, 0, 1, 0, 0, 1], [0, 1, 0, 1, 1, 0]),
        ("both", [0.5, 0, 1, 1, 1, 0.5], [0.5, 1, 0, 1, 1, 0.5]),
    ],
)
def test_the_gradient_of_equal_operands(ties: str, first: list[float], second: list[float]) -> None:
    largest = gradients(lambda a, b: rg.maximum(a, b, ties=ties))
    np.testing.assert_array_equal(largest, [first, second])
    smallest = gradients(lambda a, b: rg.minimum(-a, -b, ties=ties))
    np.testing.assert_array_equal(smallest, [-np.array(first), -np.array(second)])


def test_an_unknown_tie_is_refused() -> None:
    with pytest.raises(rg.ArgumentError, match="ties"):
        rg.maximum(rg.placeholder("x", (None,)), 0, ties="last")


def test_the_value_does_not_depend_on_the_gradient() -> None:
    a, b = rg.placeholder("a", (None,)), rg.placeholder("b", (None,))
    plain, tied = rg.maximum(a, b), rg.maximum(a, b, ties="both")
    program = rg.compile({"plain": plain, "tied": tied, "nan": rg.maximum(a, NAN), "none": rg.minimum(NAN, a)})
    assert "straight_through" not in str(program.inference.graph)
    result = program.inference(a=A, b=B)
    np.testing.assert_array_equal(result["plain"], np.maximum(A, B))
    np.testing.assert_array_equal(result["tied"], result["plain"])
    assert np.isnan(result["nan"]).all()
    assert np.isnan(result["none"]).all()


def test_limits_of_clip_may_be_missing_and_nan_gets_no_gradient() -> None:
    x = rg.placeholder("x", (None,))
    program = rg.compile({"low": rg.clip(x, 0), "high": rg.clip(x, None, 2), "same": rg.clip(x)})
    result = program.inference(x=A)
    np.testing.assert_array_equal(result["low"], np.clip(A, 0, None))
    np.testing.assert_array_equal(result["high"], np.clip(A, None, 2))
    np.testing.assert_array_equal(result["same"], A)
    of_x, _ = gradients(lambda a, b: rg.clip(a, 1, 2))
    np.testing.assert_array_equal(of_x, [1, 1, 0, 0, 1, 0])


def test_zeros_keep_their_sign_and_slope() -> None:
    x = rg.placeholder("x", (None,))
    outputs = {"relu": rg.relu(x), "relu6": rg.relu6(x), "shrink": rg.soft_shrink(x)}
    zeros = np.array([0.0, -0.0, -0.25], np.float32)
    result = rg.compile(outputs).inference(x=zeros)
    np.testing.assert_array_equal(np.signbit(result["relu"]), [False, True, False])
    np.testing.assert_array_equal(np.signbit(result["relu6"]), [False, True, False])
    np.testing.assert_array_equal(np.signbit(result["shrink"]), [False, False, False])
    program = rg.compile(outputs, loss=rg.reduce_sum(rg.relu(x) + rg.abs(x)))
    fed = np.array([-0.0, 0.0, NAN, 2], np.float32)
    np.testing.assert_array_equal(program.training.gradients(x=fed, wrt=["x"])[1]["x"], [0, 0, 1, 2])


def test_a_value_with_the_gradient_of_another() -> None:
    of_a, of_b = gradients(lambda a, b: rg.straight_through(a * 3, rg.round(b) * b))
    np.testing.assert_array_equal(of_a, [3] * 6)
    np.testing.assert_array_equal(of_b, [0] * 6)
    a, b = rg.placeholder("a", (None, 1)), rg.placeholder("b", (3,))
    wide = rg.compile(rg.straight_through(a, b)).inference(a=np.zeros((2, 1), np.float32), b=A[:3])
    np.testing.assert_array_equal(wide, [A[:3]] * 2)
