"""``rg.floor``, ``rg.ceil`` and ``rg.round`` are NumPy's, to the bit, also of what is infinite, no number or -0."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg

NEAR = [0.5, 1.5, 2.5, np.nextafter(1, 0), np.float32(0.49999997), 1e-30, 8388607.5, 2.0**24, 1e30]
NUMBERS = np.array([0.0, np.inf, np.nan, 3.0, *NEAR, *np.random.default_rng(0).normal(size=200) * 9])


@pytest.mark.parametrize("name", ["floor", "ceil", "round"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_of_numpy(name: str, dtype: str) -> None:
    x = rg.placeholder("x", (None,), dtype)
    program = rg.compile({"y": getattr(rg, name)(x)})
    given = np.concatenate([NUMBERS, -NUMBERS]).astype(dtype)
    found, wanted = program.inference(x=given)["y"], getattr(np, name)(given)
    np.testing.assert_array_equal(found, wanted)
    is_number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found)[is_number], np.signbit(wanted)[is_number])


@pytest.mark.parametrize("name", ["floor", "ceil", "round"])
def test_whole_numbers_stay_and_no_gradient_passes(name: str) -> None:
    function = getattr(rg, name)
    x, whole = rg.placeholder("x", (3,)), rg.placeholder("whole", (3,), "int64")
    weight = rg.parameter("weight", (3,), "ones")
    program = rg.compile({"y": function(whole)}, loss=rg.reduce_sum(function(x * weight) + weight))
    assert program.inference(whole=[3, -4, 0])["y"].tolist() == [3, -4, 0]
    _, gradients = program.training.gradients(x=[0.4, 1.6, -2.5])
    assert gradients["weight"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("decimals", [-2, -1, 1, 3])
def test_digits_that_stay(decimals: int) -> None:
    rows = np.array([[1234.5678, -0.0445, 150.0, 250.0], [np.nan, np.inf, -np.inf, -0.0]])
    x = rg.placeholder("x", (None, 4), "float64")
    found = rg.compile({"y": rg.round(x, decimals)}).inference(x=rows)["y"]
    np.testing.assert_array_equal(found, np.round(rows, decimals))


def test_truth_values_are_equal_or_not() -> None:
    rows = np.array([[True, False, True, False], [True, True, False, False]])
    x = rg.placeholder("x", (2, 4), "bool")
    found = rg.compile({"equal": rg.equal(x[0], x[1]), "not": rg.not_equal(x[0], x[1])}).inference(x=rows)
    np.testing.assert_array_equal(found["equal"], rows[0] == rows[1])
    np.testing.assert_array_equal(found["not"], rows[0] != rows[1])
