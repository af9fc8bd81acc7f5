"""Broadcast shapes, and axes of symbolic size that are 1."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg


def test_broadcast_to_is_numpys() -> None:
    x = rg.placeholder("x", ("batch", 1, 3))
    like = rg.placeholder("like", ("batch", "time"))
    wide = rg.broadcast_to(x, (None, "time", None))
    program = rg.compile({"wide": wide * rg.expand_dims(like, 2), "number": rg.broadcast_to(2.0, ("time", 2))})
    array, times = np.arange(6, dtype=np.float32).reshape(2, 1, 3), np.ones((2, 5), np.float32)
    result = program.inference(x=array, like=times)
    assert np.array_equal(result["wide"], np.broadcast_to(array, (2, 5, 3)))
    assert np.array_equal(result["number"], np.full((5, 2), 2.0))


def test_the_gradient_of_a_repeated_value_is_a_sum() -> None:
    x = rg.placeholder("x", (2, 1))
    loss = rg.reduce_sum(rg.square(rg.broadcast_to(x, (2, 3))))
    gradients = rg.compile({"x": x}, loss=loss).training.gradients(x=np.array([[1.0], [2.0]]), wrt=["x"])[1]["x"]
    assert np.array_equal(gradients, [[6.0], [12.0]])


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ((2, 4), rg.ShapeError),
        ((3,), rg.ShapeError),
        (None, rg.RnnGraphError),
        ((2, -1), rg.ShapeError),
        ((2, "a b"), rg.ShapeError),
        ((None, 2, 3), rg.ShapeError),
        ("ab", rg.DtypeError),
    ],
)
def test_shapes_that_can_not_be_broadcast_are_an_error(shape: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        rg.compile(rg.broadcast_to(rg.placeholder("x", (2, 3)), shape))  # type: ignore[arg-type]


def test_an_axis_of_open_size_is_squeezed_where_a_call_finds_it_to_be_1() -> None:
    x = rg.placeholder("x", (None, "time", 3))
    program = rg.compile(rg.squeeze(x, 1) * 2)
    assert np.array_equal(program.inference(x=np.ones((4, 1, 3))), np.full((4, 3), 2.0))
    with pytest.raises(rg.ShapeError, match="time = 2"):
        program.inference(x=np.ones((4, 2, 3)))
    assert rg.squeeze(x).rank == 3  # without an axis, symbolic sizes are kept
    with pytest.raises(rg.ShapeError, match="its size is not 1"):
        rg.squeeze(x, 2)
