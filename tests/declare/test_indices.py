"""Indices into an axis, and errors for fed indices that are out of range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def test_indices_below_0_count_from_the_end() -> None:
    x, i = rg.placeholder("x", (None, 4)), rg.placeholder("i", (None, None), "int64")
    of_rows, of_columns = rg.axis_indices(i, x), rg.axis_indices(i, x, -1)
    program = rg.compile(
        {
            "rows": rg.gather(x, of_rows),
            "columns": rg.gather(rg.transpose(x), of_columns),
            "number": rg.axis_indices(i, 4),
            "computed": rg.gather(x, rg.axis_indices(i * 1, x)),
        }
    )
    indices = np.array([[0, -1], [1, -2]])
    for _ in range(40):  # repeated calls take the direct path in machine code
        result = program.inference(x=X, i=indices)
    np.testing.assert_array_equal(result["rows"], X[indices])
    np.testing.assert_array_equal(result["columns"], X.T[indices])
    np.testing.assert_array_equal(result["number"], indices % 4)
    np.testing.assert_array_equal(result["computed"], X[indices])
    for wrong in (2, -3):
        with pytest.raises(rg.ShapeError, match=rf"feed i holds {wrong}; indices into an axis .* -2\.\.1"):
            program.inference(x=X, i=[[0, wrong]])


def test_indices_that_must_not_be_negative() -> None:
    x, i = rg.placeholder("x", (None, 4)), rg.placeholder("i", (None,), "int32")
    program = rg.compile(rg.gather(x, rg.axis_indices(i, x, negative=False)))
    np.testing.assert_array_equal(program.inference(x=X, i=[1, 0]), X[::-1])
    for wrong in (2, -1):
        with pytest.raises(rg.ShapeError, match=rf"feed i holds {wrong}; .* must be in 0\.\.1"):
            program.inference(x=X, i=[wrong])


def test_the_columns_of_a_feed_may_index_axes_of_several_sizes() -> None:
    x, i = rg.placeholder("x", (None, 4)), rg.placeholder("i", (None, 2), "int64")
    rows, columns = rg.gather(x, i[:, 0]), rg.gather(rg.transpose(x), rg.axis_indices(i[:, 1], x, 1))
    program = rg.compile({"rows": rows, "columns": columns})
    result = program.inference(x=X, i=[[1, 3], [0, -4]])
    np.testing.assert_array_equal(result["rows"], X[[1, 0]])
    np.testing.assert_array_equal(result["columns"], X.T[[3, 0]])
    for wrong in ([2, 0], [0, 4], [-1, 0]):
        with pytest.raises(rg.ShapeError, match="feed i holds"):
            program.inference(x=X, i=[wrong])


def test_indices_are_ints() -> None:
    with pytest.raises(rg.DtypeError, match="indices must be ints"):
        rg.axis_indices(rg.placeholder("i", (None,)), rg.placeholder("x", (None, 4)))


def test_constants_are_checked_where_they_are_declared() -> None:
    x = rg.placeholder("x", (None, 4))
    indices = np.array([[5]])
    wrong = {
        "gather": lambda: rg.gather(x, [0, 4], axis=1),
        "take_along_axis": lambda: rg.take_along_axis(x, indices, 1),
        "put_along_axis": lambda: rg.put_along_axis(x, indices, 1.0, 1),
        "gather_nd": lambda: rg.gather_nd(x, np.array([[0, -5]])),
        "axis_indices": lambda: rg.axis_indices(rg.constant(indices), 4),
    }
    for name, declare in wrong.items():
        with pytest.raises(
            rg.ShapeError, match=rf"test_indices.py:\d+: {name}: index -?\d is out of bounds .* 4 entries"
        ):
            declare()
    with pytest.raises(rg.ShapeError, match=r"index -1 is out of bounds for axis 0; give 0 or more"):
        rg.gather(x, [-1], negative=False)
    with pytest.raises(rg.ShapeError, match=r"gather: index -1 is out of bounds for axis 0 of 2 entries; give 0 to 1"):
        rg.embedding(rg.constant([-1]), rg.constant(X))
    with pytest.raises(rg.ShapeError, match=r"axis 0 of 0 entries; index an axis that has entries"):
        rg.gather(rg.placeholder("empty", (0, 4)), [0])


def test_negative_constants_count_from_the_end() -> None:
    x = rg.placeholder("x", (None, 4))
    rows, columns = np.array([-1, 0]), np.array([[-1, 2], [-4, -2]])
    outputs = {
        "rows": rg.gather(x, rows),
        "columns": rg.gather(x, columns, axis=1),
        "along": rg.take_along_axis(x, columns, 1),
        "entries": rg.gather_nd(x, np.array([[-1, -2], [0, 1]])),
    }
    result = rg.compile(outputs).inference(x=X)
    np.testing.assert_array_equal(result["rows"], X[rows])
    np.testing.assert_array_equal(result["columns"], np.take(X, columns, 1))
    np.testing.assert_array_equal(result["along"], np.take_along_axis(X, columns, 1))
    np.testing.assert_array_equal(result["entries"], X[[-1, 0], [-2, 1]])


@pytest.mark.parametrize(
    "taken",
    [
        lambda x, i, j: x[i, :, j],
        lambda x, i, j: x[i, j],
        lambda x, i, j: x[i, ..., j],
        lambda x, i, j: x[i, 1, j],
        lambda x, i, j: x[..., i, None, j],
        lambda x, i, j: x[:, i, j],
    ],
)
def test_several_scalars_index_their_own_axes(taken: Callable[..., Any]) -> None:
    x, i, j = rg.placeholder("x", (3, 3, 4)), rg.placeholder("i", (), "int64"), rg.placeholder("j", (), "int64")
    array = np.arange(36, dtype=np.float32).reshape(3, 3, 4)
    program = rg.compile(taken(x, i, j))
    np.testing.assert_array_equal(program.inference(x=array, i=1, j=2), taken(array, 1, 2))
    np.testing.assert_array_equal(program.inference(x=array, i=-1, j=0), taken(array, -1, 0))
