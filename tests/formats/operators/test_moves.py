"""Moves of foreign formats, computed with live Tensors, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.formats.operators.backend import TensorBackend
from rnngraph.formats.operators.moves import repeat


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_repeat(axis: int, count: int) -> None:
    x = rg.placeholder("x", (None, None, 3))
    given = np.random.default_rng(axis).normal(size=(2, 5, 3)).astype(np.float32)
    y = rg.compile({"y": repeat(TensorBackend(), x, axis, count)}).inference(x=given)["y"]
    np.testing.assert_array_equal(y, given.repeat(count, axis))
