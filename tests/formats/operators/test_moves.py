"""Slices in foreign formats, computed with live Tensors, against NumPy and Python's lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.formats.operators.backend import TensorBackend
from rnngraph.formats.operators.moves import indexed, is_clamped, take

ROWS = np.arange(2 * 5 * 4, dtype=np.float32).reshape(2, 5, 4)


@pytest.mark.parametrize(
    "index",
    [
        (..., 0),
        (slice(None), slice(None, 1000)),
        (slice(None), slice(-1000, 3), None, 1),
        (None, 1),
        (..., slice(0, 9, 2)),
    ],
)
def test_indices_clamp_bounds_of_open_axes(index: tuple[Any, ...]) -> None:
    x = rg.placeholder("x", (None, None, 4))
    y = rg.compile({"y": indexed(TensorBackend(), x, index)}).inference(x=ROWS)["y"]
    np.testing.assert_array_equal(y, ROWS[index])


@pytest.mark.parametrize("size", [5, None])
@pytest.mark.parametrize("places", [2, -1, [0, 2, 4], [-2, -1], [3, 0], [1, -1], [[0, 1], [4, 2]]])
def test_known_places(size: int | None, places: Any) -> None:
    x = rg.placeholder("x", (None, size, 4))
    y = take(TensorBackend(), x, np.array(places), 1, rg.constant)
    actual = rg.compile({"y": y}).inference(x=ROWS)["y"]
    np.testing.assert_array_equal(actual, np.take(ROWS, places, 1))


def test_bounds_are_clamped_if_they_may_be_out_of_range() -> None:
    size = rg.placeholder("x", (None, 4)).type.shape[0]
    assert all(is_clamped(size, *bounds) for bounds in ((0, 1000), (3, 2), (None, -1000)))
    assert not any(is_clamped(size, *bounds) for bounds in ((1, None), (0, -1)))
    assert not is_clamped(5, 0, 1000)
