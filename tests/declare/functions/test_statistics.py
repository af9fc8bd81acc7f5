"""Log-sum-exp, products, variances, counts, argmax and argmin, at hard points against NumPy's float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_gradients import check_differences

import rnngraph as rg

NAN, INF = np.nan, np.inf
ROWS = np.array(
    [
        [-INF, -INF, -INF],
        [INF, 0, 1],
        [INF, INF, -INF],
        [-INF, 1, 2],
        [NAN, 1, 2],
        [1e30, -1e30, 1],
        [0, 0, 0],
        [1, NAN, INF],
        [-1e-30, 3, 0],
        [5, 5, 5],
        [1e20, 1e20, 1e20],
    ],
    "float32",
)


def of_rows(function: Callable[[rg.Tensor], rg.Tensor], rows: Any = ROWS, size: int | None = 3) -> np.ndarray:
    x = rg.placeholder("x", (None, size), str(np.asarray(rows).dtype))
    result: np.ndarray = rg.compile(function(x)).inference(x=rows)
    return result


@pytest.mark.parametrize("size", [3, None])
def test_logarithms_of_sums(size: int | None) -> None:
    with np.errstate(all="ignore"):
        wanted = np.logaddexp.reduce(ROWS.astype("float64"), 1)
    np.testing.assert_allclose(of_rows(lambda x: rg.logsumexp(x, 1), size=size), wanted, rtol=1e-6)
    assert of_rows(lambda x: rg.logsumexp(x, (0, 1), True), size=size).shape == (1, 1)


@pytest.mark.parametrize("size", [5, None])
def test_products(size: int | None) -> None:
    rows = np.array(
        [[0, 2, 3, -1, 5], [-1, 2, -3, 1, 1], [INF, 2, 1, 1, 0], [NAN, 0, 1, 1, 1], [1e30, 1e-30, 7, 1, 1]], "f"
    )
    with np.errstate(all="ignore"):
        wanted = np.prod(rows.astype("float64"), 1)
    np.testing.assert_allclose(of_rows(lambda x: rg.reduce_prod(x, 1), rows, size), wanted, rtol=1e-6)
    actual = of_rows(lambda x: rg.reduce_prod(x, keepdims=True), rows[:2], size)
    np.testing.assert_array_equal(actual, [[0]])


def test_products_of_whole_numbers_wrap_and_gradients_pass_zeros() -> None:
    assert of_rows(lambda x: rg.reduce_prod(x, 1), np.array([[2**16, 2**15, 2]], "int32")).tolist() == [0]
    x = rg.placeholder("x", (2, 3))
    program = rg.compile(x, loss=rg.reduce_sum(rg.reduce_prod(x, 1)))
    _, gradients = program.training.gradients(x=[[0, 2, 3], [0, 0, 3]], wrt=["x"])
    assert gradients["x"].tolist() == [[6, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("size", [3, None])
@pytest.mark.parametrize("correction", [0, 1, 1.5, 3])
def test_deviations(size: int | None, correction: float) -> None:
    with np.errstate(all="ignore"):
        wide = ROWS.astype("float64")
        squares = np.square(wide - wide.mean(1, keepdims=True)).sum(1)
        wanted = squares / np.float64(max(3 - correction, 0))
        near = {"rtol": 1e-6, "atol": 1e-30}
        np.testing.assert_allclose(
            of_rows(lambda x: rg.reduce_std(x, 1, correction=correction), size=size),
            np.sqrt(wanted).astype("f"),
            **near,
        )
        actual = of_rows(lambda x: rg.reduce_var(x, 1, True, correction), size=size)
        np.testing.assert_allclose(actual[:, 0], wanted.astype("f"), **near)


def test_a_deviation_of_equal_entries_has_no_slope() -> None:
    x = rg.placeholder("x", (None, 3))
    program = rg.compile(x, loss=rg.reduce_sum(rg.reduce_std(x, 1)))
    _, gradients = program.training.gradients(x=[[5, 5, 5], [1, 2, 3]], wrt=["x"])
    np.testing.assert_allclose(gradients["x"], [[0, 0, 0], [-0.40824829, 0, 0.40824829]], atol=1e-6)


def test_counts_and_places() -> None:
    assert of_rows(lambda x: rg.count_nonzero(x, 1)).tolist() == [*np.count_nonzero(ROWS, 1)]
    assert of_rows(lambda x: rg.count_nonzero(x > 0)) == np.count_nonzero(ROWS > 0)
    assert of_rows(lambda x: rg.argmin(x, 1)).tolist() == [*np.argmin(ROWS, 1)]
    assert of_rows(lambda x: rg.argmax(x, 1)).tolist() == [*np.argmax(ROWS, 1)]
    whole = np.array([[5, -(2**31), -(2**31)], [2**31 - 1, 0, 0]], "int32")
    assert of_rows(lambda x: rg.argmin(x, 1, True), whole).tolist() == [[1], [1]]
    with pytest.raises(rg.ShapeError, match="argmin: axis 1"):
        rg.argmin(rg.placeholder("x", (3, 0)), 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: rg.logsumexp(x, 1),
        lambda x: rg.reduce_prod(x, (0, 2)),
        lambda x: rg.reduce_var(x, 1, correction=1),
        lambda x: rg.reduce_std(x, (0, 2)),
        lambda x: rg.cumprod(x, 1),
        lambda x: rg.logcumsumexp(x, 1),
        lambda x: rg.cummax(x, 1) * rg.cummin(x, 2),
        lambda x: rg.vector_norm(x, 3, 1),
        lambda x: rg.vector_norm(x, 0.5, 2),
        lambda x: rg.norm(x, -1, 1),
        lambda x: rg.matrix_norm(x, 1),
        lambda x: rg.matrix_norm(x, np.inf, (0, 2)),
        lambda x: rg.norm(x),
        lambda x: rg.sort(x, 1) * rg.sort(x, 2, True),
        lambda x: rg.top_k(x, 3)[0],
        lambda x: rg.quantile(x, 0.3, 1),
        lambda x: rg.median(x, (1, 2)),
        lambda x: rg.nanquantile(x, 0.7, 2),
        lambda x: rg.layer_norm(x, epsilon=1e-3, axis=(1, 2)),
        rg.rms_norm,
        lambda x: rg.group_norm(x, 3, axis=2),
    ],
)
def test_gradients_against_central_differences(function: Callable[[rg.Tensor], rg.Tensor]) -> None:
    x = rg.placeholder("x", (3, 4, 6), "float64")
    value = function(x)
    generator = np.random.default_rng(5)
    weights = rg.constant(generator.normal(size=value.shape))
    check_differences(rg.reduce_sum(value * weights), {"x": generator.normal(size=(3, 4, 6))}, ["x"])


@pytest.mark.parametrize(
    ("declare", "error", "what"),
    [
        (lambda x: rg.reduce_var(rg.cast(x, "int32")), rg.DtypeError, r"reduce_var needs floats.*rg\.cast"),
        (lambda x: rg.logsumexp(x > 0), rg.DtypeError, "logsumexp needs floats"),
        (lambda x: rg.reduce_std(x, correction="1"), rg.RnnGraphError, "correction"),
        (lambda x: rg.reduce_prod(rg.cast(x, "int64"), 0), rg.DtypeError, "reduce_prod along an axis of symbolic size"),
    ],
)
def test_errors(declare: Callable[[rg.Tensor], Any], error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        declare(rg.placeholder("x", (None, 3)))
