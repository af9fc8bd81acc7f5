"""Sorts, top k, medians and quantiles: the position of NaN, and the order of ties."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

NAN, INF = np.nan, np.inf
ROWS = np.array(
    [
        [1, NAN, 2, 0],
        [NAN, 1, NAN, -1],
        [2, 1, 2, 1],
        [-INF, -INF, 1, -INF],
        [NAN, -INF, INF, NAN],
        [1, 1, 1, 1],
        [NAN, NAN, NAN, NAN],
        [INF, INF, -INF, 3],
        [3, 2, 1, 0],
    ],
    "float32",
)


def of_rows(function: Callable[[rg.Tensor], Any], rows: Any = ROWS, size: int | None = 4) -> Any:
    x = rg.placeholder("x", (None, size), str(np.asarray(rows).dtype))
    return rg.compile({"y": function(x)}).inference(x=rows)["y"]


def descending(rows: np.ndarray) -> np.ndarray:
    """Return rows in descending order: NaN first, and ties in their original order."""
    keys = np.where(np.isnan(rows), -INF, -rows.astype("float64"))
    return np.array(
        [
            sorted(range(len(row)), key=lambda place: (not np.isnan(old[place]), row[place], place))
            for row, old in zip(keys, rows, strict=True)
        ]
    )


@pytest.mark.parametrize("size", [4, None])
def test_orders(size: int | None) -> None:
    actual = of_rows(
        lambda x: {
            "sort": rg.sort(x),
            "argsort": rg.argsort(x),
            "down": rg.sort(x, descending=True),
            "argdown": rg.argsort(x, -1, True),
            "top": rg.top_k(x, 3),
        },
        size=size,
    )
    np.testing.assert_array_equal(actual["sort"], np.sort(ROWS, 1))
    np.testing.assert_array_equal(actual["argsort"], np.argsort(ROWS, 1, kind="stable"))
    down = descending(ROWS)
    np.testing.assert_array_equal(actual["argdown"], down)
    np.testing.assert_array_equal(actual["down"], np.take_along_axis(ROWS, down, 1))
    np.testing.assert_array_equal(actual["top"][1], down[:, :3])
    np.testing.assert_array_equal(actual["top"][0], np.take_along_axis(ROWS, down, 1)[:, :3])


@pytest.mark.parametrize("size", [6, None])
def test_zeros_keep_their_sign(size: int | None) -> None:
    rows = np.array([[0, -0.0, 1, -0.0, 0, -1], [-0.0, 0, -0.0, 0, -0.0, 0], [np.nan, -0.0, -np.inf, np.inf, 0, -0.0]])
    places = np.array([[1, 0, -1, 3, 3, 4]] * 3)
    x = rg.placeholder("x", (None, size), "float64")
    index = rg.constant(places)
    outputs = {
        "sorted": rg.sort(x),
        "descending": rg.sort(x, descending=True),
        "largest": rg.top_k(x, 4)[0],
        "taken": rg.take_along_axis(x, index, 1),
        "put": rg.put_along_axis(x, rg.constant(places[:, :2]), -0.0, 1),
    }
    put = rows.copy()
    np.put_along_axis(put, places[:, :2], -0.0, 1)
    wanted = {
        "sorted": np.sort(rows, kind="stable"),
        "descending": -np.sort(-rows, kind="stable"),
        "taken": np.take_along_axis(rows, places, 1),
        "put": put,
    }
    wanted["descending"][2] = [np.nan, np.inf, -0.0, 0, -0.0, -np.inf]
    wanted["largest"] = wanted["descending"][:, :4]
    result = rg.compile(outputs).inference(x=rows)
    for name, array in wanted.items():
        np.testing.assert_array_equal(result[name], array, name)
        is_number = ~np.isnan(array)
        np.testing.assert_array_equal(np.signbit(result[name])[is_number], np.signbit(array)[is_number], name)


def test_gradients_pass_through_negative_zeros() -> None:
    x = rg.placeholder("x", (None, 3))
    weights = rg.constant([1.0, 2.0, 3.0])
    _, gradients = rg.compile(rg.sort(x), loss=rg.reduce_sum(rg.sort(x) * weights)).training.gradients(
        {"x": np.array([[5, -0.0, 0]], np.float32)}, wrt=["x"]
    )
    np.testing.assert_array_equal(gradients["x"], [[3, 1, 2]])


def test_the_largest_of_many_are_chosen_in_rounds() -> None:
    rows = np.tile(ROWS, 8)
    values, indices = of_rows(lambda x: rg.top_k(x, 6), rows, 32)
    np.testing.assert_array_equal(indices, descending(rows)[:, :6])
    np.testing.assert_array_equal(values, np.take_along_axis(rows, indices, 1))
    whole = np.array([[-(2**31)] * 30, [*range(30)]], "int32")
    values, indices = of_rows(lambda x: rg.top_k(x, 2), whole, 30)
    assert values.tolist() == [[-(2**31)] * 2, [29, 28]]
    assert indices.tolist() == [[0, 1], [29, 28]]


def test_a_call_checks_that_there_are_as_many() -> None:
    program = rg.compile({"y": rg.top_k(rg.placeholder("x", (None, None)), 3)})
    assert program.inference(x=[[1, 3, 2, 5]])["y"][1].tolist() == [[3, 1, 2]]
    with pytest.raises(rg.ShapeError, match="does not fit"):
        program.inference(x=[[1, 2]])


def test_other_axes_and_dtypes() -> None:
    array = np.random.default_rng(0).integers(-3, 3, (2, 5, 3)).astype("int64")
    x = rg.placeholder("x", (2, None, 3), "int64")
    result = rg.compile({"sort": rg.sort(x, 1), "argsort": rg.argsort(x, 0), "truths": rg.sort(x > 0, 1)}).inference(
        x=array
    )
    np.testing.assert_array_equal(result["sort"], np.sort(array, 1))
    np.testing.assert_array_equal(result["argsort"], np.argsort(array, 0, kind="stable"))
    np.testing.assert_array_equal(result["truths"], np.sort(array > 0, 1))


METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@pytest.mark.parametrize("q", [0, 0.25, 0.3, 0.5, 0.9, 1])
def test_quantiles(q: float) -> None:
    finite = np.array(
        [[1, NAN, 2, 0], [2, 1, 2, 1], [NAN, 1, NAN, -1], [1, 1, 1, 1], [NAN] * 4, [1e30, -1e30, 3, 7]], "f"
    )
    actual = of_rows(
        lambda x: {
            method: [rg.quantile(x, q, 1, method=method), rg.nanquantile(x, q, 1, True, method)] for method in METHODS
        },
        finite,
    )
    for method in METHODS:
        with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="All-NaN"):
            wanted = (
                np.quantile(finite, q, 1, method=method),
                np.nanquantile(finite, q, 1, keepdims=True, method=method),
            )
        for ours, theirs in zip(actual[method], wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=method)


def test_medians_and_infinities() -> None:
    actual = of_rows(
        lambda x: {"median": rg.median(x, 1), "all": rg.median(rg.reshape(x, (9, 4))), "last": rg.quantile(x, 1.0, 1)}
    )
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(actual["median"], np.median(ROWS, 1))
    assert np.isnan(actual["all"])
    np.testing.assert_array_equal(actual["last"], np.max(ROWS, 1))
    array = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype("f")
    x = rg.placeholder("x", array.shape)
    program = rg.compile({"y": [rg.median(x, (1, 3), True), rg.quantile(x, 0.3, (0, 2))]})
    one, other = program.inference(x=array)["y"]
    np.testing.assert_allclose(one, np.median(array, (1, 3), keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(other, np.quantile(array, 0.3, (0, 2)), rtol=1e-5)


def test_gradients_reach_only_the_selected_entries() -> None:
    x = rg.placeholder("x", (4,))
    weights = rg.constant(np.array([1, 2, 3, 4], "f"))
    cases: list[tuple[rg.Tensor, list[float], list[float]]] = [
        (rg.sort(x) * weights, [2.0, 1.0, 2.0, -INF], [3, 2, 4, 1]),
        (rg.top_k(x, 2)[0] * weights[:2], [1.0, NAN, 1.0, 1.0], [2, 1, 0, 0]),
        (rg.quantile(x, 0.5), [4.0, 1.0, 2.0, 3.0], [0, 0, 0.5, 0.5]),
    ]
    for value, entries, wanted in cases:
        _, gradients = rg.compile(x, loss=rg.reduce_sum(value)).training.gradients(x=entries, wrt=["x"])
        np.testing.assert_allclose(gradients["x"], wanted)


@pytest.mark.parametrize(
    ("declare", "error", "what"),
    [
        (lambda x: rg.top_k(x, 5), rg.ShapeError, "k=5 is more than the 4 entries"),
        (lambda x: rg.top_k(x > 0, 1), rg.ShapeError, "top_k needs numbers"),
        (
            lambda x: rg.top_k(x[0][:, None] * rg.placeholder("y", (None,)), 200),
            rg.ShapeError,
            "symbolic size.*at most 128",
        ),
        (lambda x: rg.quantile(x, 1.5), rg.ArgumentError, "q=1.5"),
        (lambda x: rg.quantile(x, 0.5, 1, method="hazen"), rg.ArgumentError, "method='hazen' is not offered"),
        (lambda x: rg.median(x, 0), rg.ShapeError, "fixed size of at least 1"),
        (lambda x: rg.median(rg.cast(x, "int32"), 1), rg.DtypeError, "needs floats"),
        (lambda x: rg.sort(x, 2), rg.ShapeError, "axis 2"),
    ],
)
def test_errors(declare: Callable[[rg.Tensor], Any], error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        declare(rg.placeholder("x", (None, 4)))
