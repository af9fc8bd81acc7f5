"""Functions that permute axes and select entries, triangles and diagonals, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

X = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
SQUARE = X[0, :4]


def value(function: Callable[[rg.Tensor], Any], array: np.ndarray = X, *, open_axes: bool = True) -> Any:
    shape = (None,) * array.ndim if open_axes else array.shape
    x = rg.placeholder("x", shape, str(array.dtype))
    return rg.compile({"y": function(x)}).inference(x=array)["y"]


MOVES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "flip": (lambda x: rg.flip(x, 1), lambda x: np.flip(x, 1)),
    "flip of all": (rg.flip, np.flip),
    "roll": (lambda x: rg.roll(x, 2, 1), lambda x: np.roll(x, 2, 1)),
    "roll back": (lambda x: rg.roll(x, -3, -1), lambda x: np.roll(x, -3, -1)),
    "repeat": (lambda x: rg.repeat(x, 3, 1), lambda x: np.repeat(x, 3, 1)),
    "repeat all": (lambda x: rg.repeat(x, 2), lambda x: np.repeat(x, 2)),
    "swapaxes": (lambda x: rg.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1)),
    "moveaxis": (lambda x: rg.moveaxis(x, (0, 1), (-1, 0)), lambda x: np.moveaxis(x, (0, 1), (-1, 0))),
    "wrap": (lambda x: rg.pad(x, {1: (2, 5)}, "wrap"), lambda x: np.pad(x, [(0, 0), (2, 5), (0, 0)], "wrap")),
    "tril": (lambda x: rg.tril(x, 1), lambda x: np.tril(x, 1)),
    "triu": (lambda x: rg.triu(x, -1), lambda x: np.triu(x, -1)),
    "outer": (lambda x: rg.outer(x, x[0]), lambda x: np.outer(x, x[0])),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves(name: str) -> None:
    ours, numpys = MOVES[name]
    np.testing.assert_array_equal(value(ours), numpys(X))


def test_moves_of_fixed_axes() -> None:
    names = {"roll": lambda x: rg.roll(x, 9, 1), "roll of all": lambda x: rg.roll(x, -7), "units": rg.unstack}
    actual = value(lambda x: {name: function(x) for name, function in names.items()}, open_axes=False)
    np.testing.assert_array_equal(actual["roll"], np.roll(X, 9, 1))
    np.testing.assert_array_equal(actual["roll of all"], np.roll(X, -7))
    np.testing.assert_array_equal(actual["units"], [*X])


def test_truth_values_move_too() -> None:
    truths = value(lambda x: {"tril": rg.tril(x), "diagonal": rg.diagonal(x, 1)}, SQUARE > 0, open_axes=False)
    np.testing.assert_array_equal(truths["tril"], np.tril(SQUARE > 0))
    np.testing.assert_array_equal(truths["diagonal"], np.diagonal(SQUARE > 0, 1))


@pytest.mark.parametrize("offset", [-6, -1, 0, 2, 5])
def test_diagonals_of_matrices_that_are_not_square(offset: int) -> None:
    def all_of(x: rg.Tensor) -> dict[str, rg.Tensor]:
        return {"diagonal": rg.diagonal(x, offset, 1, 2), "trace": rg.trace(x, offset, 2, 1)}

    actual = value(all_of, open_axes=False)
    np.testing.assert_array_equal(actual["diagonal"], np.diagonal(X, offset, 1, 2))
    np.testing.assert_allclose(actual["trace"], np.trace(X, offset, 2, 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("offset", [-2, 0, 1])
def test_diagonals_of_open_size(offset: int) -> None:
    x = rg.placeholder("x", ("n", "n"))
    y = {"diagonal": rg.diagonal(x, offset), "matrix": rg.diag_embed(x[0], offset)}
    result = rg.compile(y).inference(x=SQUARE)
    np.testing.assert_array_equal(result["diagonal"], np.diagonal(SQUARE, offset))
    np.testing.assert_array_equal(result["matrix"], np.diag(SQUARE[0], offset))


def test_numbers_in_the_shape_of_a_tensor() -> None:
    """Values do not depend on the tensor's entries, even NaN."""
    names = {
        "zeros": rg.zeros_like,
        "truths": lambda x: rg.ones_like(x, bool),
        "sevens": lambda x: rg.full_like(x, 7, "int32"),
    }
    actual = value(
        lambda x: {name: function(x) for name, function in names.items()}, np.full((2, 3), np.nan, np.float32)
    )
    np.testing.assert_array_equal(actual["zeros"], np.zeros((2, 3), np.float32))
    assert actual["truths"].all()
    np.testing.assert_array_equal(actual["sevens"], np.full((2, 3), 7, np.int32))


# Entries at indices ----------------------------------------------------------------------------------------

INDEX = np.array([[[3, 0, -1]], [[1, -4, 1]]])


def indices(function: Callable[[rg.Tensor, rg.Tensor], Any], index: np.ndarray = INDEX) -> Any:
    x, i = rg.placeholder("x", X.shape), rg.placeholder("i", index.shape, str(index.dtype))
    program = rg.compile({"y": function(x, i)})
    return program.inference({name: {"x": X, "i": index}[name] for name in program.inputs})["y"]


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_entries_along_an_axis(dtype: str) -> None:
    actual = indices(lambda x, i: rg.take_along_axis(x, i, 2), INDEX.astype(dtype))
    np.testing.assert_array_equal(actual, np.take_along_axis(X, np.broadcast_to(INDEX, (2, 5, 3)), 2))


@pytest.mark.parametrize(
    ("mode", "meet"),
    [
        ("set", lambda old, new: new),
        ("add", np.add),
        ("multiply", np.multiply),
        ("minimum", np.minimum),
        ("maximum", np.maximum),
    ],
)
def test_entries_that_are_put(mode: str, meet: Callable[[Any, Any], Any]) -> None:
    """Entries are written in order, so that the last of several values for one position remains."""
    wanted, values = X.copy(), X[:, :, :3] * 2
    for place in np.ndindex(2, 5, 3):
        at = (*place[:2], INDEX[place[0], 0, place[2]])
        wanted[at] = meet(wanted[at], values[place])
    actual = indices(lambda x, i: rg.put_along_axis(x, i, x[:, :, :3] * 2, 2, mode))
    np.testing.assert_allclose(actual, wanted, rtol=1e-6, atol=1e-6)


def test_one_number_is_put() -> None:
    wanted = X.copy()
    np.put_along_axis(wanted, INDEX, 7, 2)
    np.testing.assert_array_equal(indices(lambda x, i: rg.put_along_axis(x, i, 7.0, 2)), wanted)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_rows_of_an_axis(axis: int) -> None:
    index = np.array([[1, 0], [0, 0]])
    np.testing.assert_array_equal(indices(lambda x, i: rg.gather(x, i, axis), index), np.take(X, index, axis))


def test_entries_by_several_indices() -> None:
    index = np.array([[1, -1], [0, 2]])
    np.testing.assert_array_equal(indices(lambda x, i: rg.gather_nd(x, i), index), X[index[:, 0], index[:, 1]])
    actual = indices(lambda x, i: rg.gather_nd(x, i, 1), index[:, :1])
    np.testing.assert_array_equal(actual, X[[0, 1], index[:, 0]])


def test_indices_that_are_fed_are_checked() -> None:
    for function in (rg.take_along_axis, lambda x, i, axis: rg.put_along_axis(x, i, 0.0, axis)):
        with pytest.raises(rg.ShapeError, match=r"-4\.\.3"):
            indices(lambda x, i, apply=function: apply(x, i, 2), INDEX + 4)


def test_one_hot_on_any_axis_with_values_of_its_own() -> None:
    index = np.array([[1, 0, 2], [2, 2, 1]])
    hit = (index[:, None] == np.arange(4)[:, None]).astype(np.float32)
    np.testing.assert_array_equal(indices(lambda x, i: rg.one_hot(i, 4, axis=1), index), hit)
    actual = indices(lambda x, i: rg.one_hot(i, 4, "float32", 1, x[0, 0, 0], -1.0), index)
    np.testing.assert_array_equal(actual, np.where(hit, X[0, 0, 0], np.float32(-1)))


def test_largest_and_smallest_of_an_axis() -> None:
    actual = indices(lambda x, i: [rg.top_k(x, 2, 1), rg.top_k(x, 2, 0, largest=False)])
    np.testing.assert_array_equal(actual[0][0], -np.sort(-X, 1)[:, :2])
    np.testing.assert_array_equal(actual[0][1], np.argsort(-X, 1)[:, :2])
    np.testing.assert_array_equal(actual[1][0], np.sort(X, 0))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_sums_of_ints_so_far_along_an_open_axis(dtype: str) -> None:
    numbers = np.array([[3, -1], [5, 2], [2**20, 7]], dtype)
    for ours, numpys in ((rg.cumsum, np.cumsum), (rg.cummax, np.maximum.accumulate)):
        actual = value(lambda x, apply=ours: apply(x, 0), numbers)
        np.testing.assert_array_equal(actual, numpys(numbers, 0))
        assert actual.dtype == numbers.dtype


def test_rows_turned_round_with_time_first() -> None:
    x, lengths = rg.placeholder("x", (None, None, 4)), rg.placeholder("lengths", (None,), "int64")
    result = rg.compile({"y": rg.reverse_sequence(x, lengths, axis=0)}).inference(x=X.swapaxes(0, 1), lengths=[3, 5])[
        "y"
    ]
    np.testing.assert_array_equal(result[:3, 0], X[0, 2::-1])
    np.testing.assert_array_equal(result[:, 1], X[1, ::-1])


@pytest.mark.parametrize("lower", [True, False])
def test_triangular_systems(lower: bool) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    generator = np.random.default_rng(1)
    matrices, right = generator.normal(size=(2, 7, 7)) + 4 * np.eye(7), generator.normal(size=(2, 7, 3))
    a, b = rg.placeholder("a", (None, 7, 7), "float64"), rg.placeholder("b", (None, 7, 3), "float64")
    x = rg.triangular_solve(a, b, lower)
    program = rg.compile(
        {"x": x, "vectors": rg.triangular_solve(a, b[..., 0], lower)}, loss=rg.reduce_sum(rg.square(x))
    )
    result = program.inference(a=matrices, b=right)
    expected = np.stack([linalg.solve_triangular(*item, lower=lower) for item in zip(matrices, right, strict=True)])
    np.testing.assert_allclose(result["x"], expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(result["vectors"], expected[..., 0], rtol=1e-12, atol=1e-13)
    _, gradients = program.training.gradients(a=matrices, b=right, wrt=["a", "b"])
    adjoint = np.stack(
        [linalg.solve_triangular(m.T, 2 * y, lower=not lower) for m, y in zip(matrices, expected, strict=True)]
    )
    np.testing.assert_allclose(gradients["b"], adjoint, rtol=1e-10, atol=1e-12)
    whole = -adjoint @ expected.transpose(0, 2, 1)
    np.testing.assert_allclose(gradients["a"], np.tril(whole) if lower else np.triu(whole), rtol=1e-10, atol=1e-12)


def test_systems_that_do_not_fit_are_errors() -> None:
    a = rg.placeholder("a", (None, 3, 3))
    with pytest.raises(rg.ShapeError, match=r"needs b \[..., 3, columns\]"):
        rg.triangular_solve(a, rg.placeholder("b", (None, 4, 2)))
    with pytest.raises(rg.ShapeError, match="needs square matrices"):
        rg.triangular_solve(rg.placeholder("c", (None, 3, 4)), a)
