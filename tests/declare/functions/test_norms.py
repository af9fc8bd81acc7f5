"""Norms of vectors and of matrices, against NumPy in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

NAN, INF = np.nan, np.inf
VECTORS = np.array(
    [
        [3, -4, 0],
        [0, 0, 0],
        [INF, 1, 2],
        [NAN, 1, 2],
        [0, 0, 1],
        [5, 5, 5],
        [1e5, -1e5, 1],
        [-INF, 0, 1],
        [1e-5, 0, 0],
    ],
    "float32",
)
ORDERS = [2, 1, 0, -1, 0.5, 3, INF, -INF, -2, -0.5, 2.5, 4]


@pytest.mark.parametrize("size", [3, None])
def test_vectors(size: int | None) -> None:
    x = rg.placeholder("x", (None, size))
    program = rg.compile({str(order): rg.vector_norm(x, order, 1) for order in ORDERS})
    result = program.inference(x=VECTORS)
    for order in ORDERS:
        with np.errstate(all="ignore"):
            wanted = np.linalg.norm(VECTORS.astype("float64"), order, 1).astype("float32")
        np.testing.assert_allclose(result[str(order)], wanted, rtol=2e-5, err_msg=str(order))


@pytest.mark.parametrize("order", [2, 1, 0.5, 3, INF, -INF, -1, -2, None])
def test_gradients_at_zero_are_zero(order: float | None) -> None:
    x = rg.placeholder("x", (None, 3))
    program = rg.compile(x, loss=rg.reduce_sum(rg.norm(x, order, 1)))
    _, gradients = program.training.gradients(x=np.zeros((2, 3)), wrt=["x"])
    assert gradients["x"].tolist() == [[0, 0, 0]] * 2


def test_orders_and_axes_may_be_numpys() -> None:
    x = rg.placeholder("x", (2, 3))
    program = rg.compile({"rows": rg.norm(x, np.int64(1), np.int64(1)), "matrix": rg.norm(x, np.float32(np.inf))})
    result = program.inference(x=[[1, -2, 3], [4, 5, -6]])
    assert result["rows"].tolist() == [6, 15]
    assert result["matrix"] == 15


def test_gradients_of_vectors_with_a_zero() -> None:
    x = rg.placeholder("x", (2,))
    for order, wanted in ((2, [0, 1]), (0.5, [0, 1]), (3, [0, 1]), (INF, [0, 1]), (-INF, [0, 0]), (-1, [0, 0])):
        program = rg.compile(x, loss=rg.vector_norm(x, order))
        _, gradients = program.training.gradients(x=[0.0, 1.0], wrt=["x"])
        np.testing.assert_allclose(gradients["x"], wanted, err_msg=str(order))


@pytest.mark.parametrize("axes", [(-2, -1), (0, 2), (2, 0), (1, 0)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_matrices(axes: tuple[int, int], keepdims: bool) -> None:
    array = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    x = rg.placeholder("x", (2, None, 4))
    orders: list[Any] = ["fro", 1, -1, INF, -INF, None]
    result = rg.compile({str(order): rg.norm(x, order, axes, keepdims) for order in orders}).inference(x=array)
    for order in orders:
        wanted = np.linalg.norm(array.astype("float64"), order, axes, keepdims)
        np.testing.assert_allclose(result[str(order)], wanted, rtol=1e-6, err_msg=str(order))


@pytest.mark.parametrize(
    ("declare", "error", "what"),
    [
        (lambda x: rg.norm(x, 2), rg.NotOfferedError, "ord=2 of matrices needs singular values"),
        (lambda x: rg.norm(x, -2, (0, 1)), rg.NotOfferedError, "singular values"),
        (lambda x: rg.matrix_norm(x, "nuc"), rg.NotOfferedError, "ord='nuc'.*'fro', 1, -1, inf or -inf"),
        (lambda x: rg.matrix_norm(x, 3), rg.ArgumentError, "ord=3 is no norm of matrices"),
        (lambda x: rg.norm(x, "fro", 1), rg.ArgumentError, "ord='fro' is not defined for one axis"),
        (lambda x: rg.norm(rg.expand_dims(x, 0), 1), rg.ArgumentError, "ord=1 is not defined for 3 axes"),
        (lambda x: rg.vector_norm(x, "2"), rg.ArgumentError, "no norm of vectors"),
        (lambda x: rg.vector_norm(rg.cast(x, "int32")), rg.DtypeError, r"a norm needs floats.*rg\.cast"),
        (lambda x: rg.matrix_norm(x, axis=(1, 1)), rg.ShapeError, "two different axes"),
    ],
)
def test_errors(declare: Callable[[rg.Tensor], Any], error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        declare(rg.placeholder("x", (None, 3)))
