"""``rg.floor``, ``rg.ceil`` and ``rg.round`` have NumPy's bits, also for infinities, NaN and -0. ``rg.dequantize``
widens integers.
"""

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
    numbers = np.concatenate([NUMBERS, -NUMBERS]).astype(dtype)
    result, wanted = program.inference(x=numbers)["y"], getattr(np, name)(numbers)
    np.testing.assert_array_equal(result, wanted)
    is_number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(result)[is_number], np.signbit(wanted)[is_number])


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
    result = rg.compile({"y": rg.round(x, decimals)}).inference(x=rows)["y"]
    np.testing.assert_array_equal(result, np.round(rows, decimals))


def test_truth_values_are_equal_or_not() -> None:
    rows = np.array([[True, False, True, False], [True, True, False, False]])
    x = rg.placeholder("x", (2, 4), "bool")
    result = rg.compile({"equal": rg.equal(x[0], x[1]), "not": rg.not_equal(x[0], x[1])}).inference(x=rows)
    np.testing.assert_array_equal(result["equal"], rows[0] == rows[1])
    np.testing.assert_array_equal(result["not"], rows[0] != rows[1])


@pytest.mark.parametrize("axis", [0, -1])
def test_dequantized_integers_of_8_bits(axis: int) -> None:
    rng = np.random.default_rng(0)
    numbers, scales = rng.integers(-128, 128, (6, 12)).astype(np.int8), rng.random((6, 12)).astype(np.float32)
    scales = scales[:2] if axis == 0 else scales[:, :3]
    parameters = rg.parameter("n", (6, 12), numbers, False, "int8"), rg.parameter("s", scales.shape, scales)
    program = rg.compile(rg.dequantize(*parameters, axis))
    np.testing.assert_array_equal(program.inference({}), numbers * scales.repeat(3 if axis == 0 else 4, axis))


def test_dequantized_integers_of_4_bits() -> None:
    """The lower bits of a block's bytes hold its first half."""
    data, scales = np.arange(256, dtype=np.uint8).reshape(2, 128), np.array([[1, 2], [0.5, -3]], np.float32)
    parameters = rg.parameter("n", (2, 128), data, False, "uint8"), rg.parameter("s", (2, 2), scales)
    result = rg.compile(rg.dequantize(*parameters, bits=4)).inference({}).reshape(2, 2, 2, 64)
    halves = data.reshape(2, 2, 64)
    expected = np.stack([halves & 15, halves >> 4], 2).astype(np.float32) - 8
    np.testing.assert_array_equal(result, expected * scales[:, :, None, None])


def test_mistakes_of_dequantize_are_named() -> None:
    numbers, scales = rg.parameter("n", (6, 8), 0, False, "int8"), rg.parameter("s", (6, 3))
    for call, match in (
        (lambda: rg.dequantize(numbers, scales), r"axis -1 of .* does not divide into the blocks of"),
        (lambda: rg.dequantize(numbers, scales, 0, 4), r"bits=4 needs uint8, not .*; give bits=8"),
        (lambda: rg.dequantize(scales, scales, 0), r"bits=8 needs int8, not .*; give stored integers"),
        (lambda: rg.dequantize(numbers, scales, 0, 5), r"bits=5 is not offered; use one of 8, 4"),
        (lambda: rg.tanh(numbers), "an operand is int8; it must be"),
        (lambda: numbers @ rg.transpose(numbers, (1, 0)), "matmul: int8 only stores numbers; widen them"),
        (lambda: rg.compile({"n": numbers}), "output n is int8, which only stores numbers"),
        (lambda: rg.parameter("m", (2,), dtype="int8"), "can't be trained; give trainable=False"),
    ):
        with pytest.raises(rg.RnnGraphError, match=match):
            call()
