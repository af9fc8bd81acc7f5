"""Normalizations of rows, against NumPy in float64."""

from typing import Any

import numpy as np
import pytest

import rnngraph as rg

ARRAY = np.random.default_rng(0).normal(3, 2, size=(2, 3, 5, 4)).astype("float32")


def standard(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    wide = x.astype("float64")
    centred = wide - wide.mean(axes, keepdims=True)
    result: np.ndarray = centred / np.sqrt(np.square(centred).mean(axes, keepdims=True) + epsilon)
    return result


def test_rows() -> None:
    x = rg.placeholder("x", (None, 3, None, 4))
    gamma, beta = np.arange(1, 4, dtype="f"), np.array([0.5, -1, 2], "f")
    result = rg.compile(
        {
            "layer": rg.layer_norm(x, epsilon=1e-3),
            "layers": rg.layer_norm(x, epsilon=1e-3, axis=(1, 3)),
            "rms": rg.rms_norm(x),
            "rms of all": rg.rms_norm(x, axis=(1, 2, 3), epsilon=0.1),
            "groups": rg.group_norm(x, 3, gamma, beta, axis=1),
            "one group": rg.group_norm(x, 1, axis=1),
            "last": rg.group_norm(x, 2),
        }
    ).inference(x=ARRAY)
    wide = ARRAY.astype("float64")
    parts = ARRAY.reshape(2, 3, 5, 2, 2)
    wanted = {
        "layer": standard(ARRAY, (3,), 1e-3),
        "layers": standard(ARRAY, (1, 3), 1e-3),
        "rms": wide / np.sqrt(np.square(wide).mean(3, keepdims=True) + 1e-6),
        "rms of all": wide / np.sqrt(np.square(wide).mean((1, 2, 3), keepdims=True) + 0.1),
        "groups": standard(ARRAY, (2, 3), 1e-5) * gamma[:, None, None] + beta[:, None, None],
        "one group": standard(ARRAY, (1, 2, 3), 1e-5),
        "last": standard(parts, (1, 2, 4), 1e-5).reshape(ARRAY.shape),
    }
    for name, array in wanted.items():
        np.testing.assert_allclose(result[name], array, rtol=2e-5, atol=2e-6, err_msg=name)


def test_constants_and_large_numbers() -> None:
    x = rg.placeholder("x", (None, 4))
    rows = np.array([[5, 5, 5, 5], [1e18, -1e18, 0, 0]], "float32")
    result = rg.compile({"y": [rg.layer_norm(x, epsilon=1e-5), rg.rms_norm(x)]}).inference(x=rows)["y"]
    np.testing.assert_allclose(result[0], standard(rows, (1,), 1e-5), atol=1e-5)
    wide = rows.astype("float64")
    np.testing.assert_allclose(result[1], wide / np.sqrt(np.square(wide).mean(1, keepdims=True) + 1e-6), rtol=1e-6)


def test_errors() -> None:
    x = rg.placeholder("x", (None, 4))
    with pytest.raises(rg.DtypeError, match="gamma of rms_norm must be an array or a Tensor"):
        rg.rms_norm(x, 4)
    with pytest.raises(rg.ShapeError, match=r"axis 1 of .* does not divide into 3 groups"):
        rg.group_norm(x, 3)
    with pytest.raises(rg.ShapeError, match=r"gamma and beta must be \[4\]"):
        rg.group_norm(x, 2, np.ones(2, "f"))


@pytest.mark.parametrize(("order", "axis"), [(2, -1), (1, 1), (np.inf, (0, 2))])
def test_vectors_over_their_norm(order: float, axis: Any) -> None:
    rows = np.random.default_rng(3).normal(size=(2, 5, 4)).astype(np.float32)
    rows[0, 1] = 0
    x = rg.placeholder("x", (None, None, 4))
    result = rg.compile({"y": rg.normalize(x, order, axis)}).inference(x=rows)["y"]
    length = np.linalg.vector_norm(rows.astype(np.float64), axis=axis, ord=order, keepdims=True)
    np.testing.assert_allclose(result, rows / np.maximum(length, 1e-12), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("axis", [1, -1])
def test_numbers_for_each_channel(axis: int) -> None:
    rng = np.random.default_rng(4)
    rows, arrays = rng.normal(size=(2, 5, 4)).astype(np.float32), rng.uniform(1, 2, (4, (2, 5, 4)[axis]))
    mean, variance, gamma, beta = arrays.astype(np.float32)
    x = rg.placeholder("x", (None, 5, 4))
    y = {
        "all": rg.standardize(x, mean, variance, gamma, beta, axis, 0.5),
        "plain": rg.standardize(x, mean, variance, axis=axis),
    }
    result = rg.compile(y).inference(x=rows)
    shape = (-1, 1) if axis == 1 else (-1,)
    mean, variance, gamma, beta = (array.reshape(shape) for array in arrays)
    wanted = (rows - mean) / np.sqrt(variance + 0.5) * gamma + beta
    np.testing.assert_allclose(result["all"], wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result["plain"], (rows - mean) / np.sqrt(variance + 1e-5), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [1, -1])
def test_standardize_has_the_bits_of_batch_normalization(axis: int) -> None:
    """Large means and small variances reveal any difference in the order of operations."""
    rng = np.random.default_rng(5)
    size = (2, 5, 4)[axis]
    rows = (10000.5 + rng.normal(size=(2, 5, 4))).astype(np.float32)
    names = ("moving_mean", "moving_variance", "gamma", "beta")
    arrays = [rng.uniform(*bounds, size).astype(np.float32) for bounds in ((1e4, 10001), (0, 1e-9), (1, 2), (1, 2))]
    x = rg.placeholder("x", (None, 5, 4))
    layer = rg.batch_normalization(x, axis=axis, epsilon=1e-3)
    program = rg.compile({"layer": layer, "numbers": rg.standardize(x, *arrays, axis=axis, epsilon=1e-3)})
    for name, array in zip(names, arrays, strict=True):
        program.parameters[f"batch_normalization/{name}"] = array
    outputs = program.inference(x=rows)
    np.testing.assert_array_equal(outputs["layer"], outputs["numbers"])
    unscaled = rg.standardize(x - 10000.5, None, arrays[1], axis=axis)
    scale = np.sqrt(arrays[1].astype(np.float64) + 1e-5).reshape((-1, 1) if axis == 1 else -1)
    result = rg.compile(unscaled).inference(x=rows)
    np.testing.assert_allclose(result, (rows.astype(np.float64) - 10000.5) / scale, rtol=1e-6)


def test_gamma_fixes_the_number_of_channels() -> None:
    rows, gamma = np.random.default_rng(6).normal(size=(2, 4, 5)).astype(np.float32), np.array([1, 2, 3, 4], np.float32)
    x = rg.placeholder("x", (None, None, None))
    normalized = rg.compile(rg.group_norm(x, 4, gamma, axis=1)).inference(x=rows)
    wide = rows.astype(np.float64)
    wanted = (wide - wide.mean(2, keepdims=True)) / np.sqrt(wide.var(2, keepdims=True) + 1e-5) * gamma[:, None]
    np.testing.assert_allclose(normalized, wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(rg.ShapeError):
        rg.group_norm(x, 4, axis=1)
