"""Slices whose bounds are clamped to an axis of symbolic size, as for Python's lists."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.ir.sizes.polynomial import CLAMPED, evaluate, least, size

BOUNDS = [None, 0, 1, 3, 1000, -1, -2, -4, -1000]
STEPS = [1, 3, -1, -2]
SIZES = [0, 1, 2, 3, 4, 7, 1000, 1003]


@pytest.mark.parametrize("bound", [0, 1, 3, 1000, CLAMPED])
def test_the_smaller_of_a_size_and_a_number(bound: int) -> None:
    dim = least(size("T"), bound)
    for count in (0, 1, 2, 3, 4, 999, 1000, 1001, CLAMPED - 1):
        assert evaluate(dim, {"T": count}) == min(count, bound)


def test_bounds_are_those_of_lists() -> None:
    x = rg.placeholder("x", ("T",))
    for start, stop, step in itertools.product(BOUNDS, BOUNDS, STEPS):
        actual = rg.clamped_slice(x, 0, start, stop, step)
        shape = actual.node.shape[0]
        for count in SIZES:
            wanted = len(range(count)[start:stop:step])
            assert evaluate(shape, {"T": count}) == wanted, (start, stop, step, count)


@pytest.mark.filterwarnings("ignore:.*the loss does not depend:UserWarning")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bounds", [(0, 5, 1), (-5, 3, 1), (-1, -1000, -1), (1000, -4, -2), (6, 1000, 1), (-9, -7, 2)])
def test_entries_and_gradients(bounds: tuple[int, int, int], threads: int) -> None:
    x = rg.placeholder("x", (None, None, 3))
    y = rg.clamped_slice(x, 1, *bounds)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), y)
    program = rg.compile({"y": y, "o": outputs}, loss=rg.reduce_sum(rg.square(y)), threads=threads, seed=0)
    for steps in (0, 1, 3, 4, 6, 9):
        array = np.random.default_rng(steps).normal(size=(2, steps, 3)).astype(np.float32)
        wanted = array[:, slice(*bounds)]
        result = program.inference(x=array)
        np.testing.assert_array_equal(result["y"], wanted)
        assert result["o"].shape == (*wanted.shape[:2], 4)
        _, gradients = program.training.gradients(x=array, wrt=["x"])
        expected = np.zeros_like(array)
        expected[:, slice(*bounds)] = 2 * wanted
        np.testing.assert_array_equal(gradients["x"], expected)


def test_fixed_axes_are_sliced_as_they_are() -> None:
    x = rg.placeholder("x", (None, 4))
    result = rg.compile(rg.clamped_slice(x, 1, -1000, 3)).inference(x=np.ones((2, 4)))
    assert result.shape == (2, 3)


def test_predict_cuts_only_axes_that_it_recognises() -> None:
    x, n = rg.placeholder("x", (None, None, 3)), rg.placeholder("n", (None,), "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, sequence_length=n)
    program = rg.compile(rg.clamped_slice(outputs, 1, stop=4), seed=0)
    generator = np.random.default_rng(0)
    rows = [generator.normal(size=(steps, 3)).astype(np.float32) for steps in (2, 7, 3, 4)]
    result = program.predict({"x": rows, "n": [len(row) for row in rows]})
    for row, array in zip(rows, result, strict=True):
        np.testing.assert_array_equal(array, program.inference(x=row[None], n=[len(row)])[0])


def test_a_clamped_slice_of_time_can_not_be_streamed() -> None:
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), rg.clamped_slice(x, 1, stop=4))
    for tensor in (outputs, rg.clamped_slice(rg.cumsum(x, 1), 1, -4)):
        with pytest.raises(rg.GraphError):
            rg.compile(tensor).inference.stream(batch=2)


def test_mistakes() -> None:
    x = rg.placeholder("x", (None, None, 3))
    with pytest.raises(rg.ShapeError, match="step 0"):
        rg.clamped_slice(x, 1, step=0)
    with pytest.raises(rg.DtypeError, match="start must be an int"):
        rg.clamped_slice(x, 1, 0.5)
