"""Indices that a call says: scalar int Tensors among ints, slices, ... and None."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg

INDICES: list[Any] = [
    lambda i: i, lambda i: (slice(None), i), lambda i: (..., i), lambda i: (slice(None), i, 1), lambda i: (1, i),
    lambda i: (None, slice(None), i), lambda i: (slice(None), i, i), lambda i: (..., i, slice(None), None),
    lambda i: (slice(1, None), slice(None, None, -2), i),
]  # fmt: skip


def test_values_are_numpys() -> None:
    x, i = rg.placeholder("x", (None, None, 3)), rg.placeholder("i", (), "int32")
    program = rg.compile({str(number): x[index(i)] for number, index in enumerate(INDICES)})
    data = np.random.default_rng(0).standard_normal((3, 7, 3)).astype(np.float32)
    for number in (0, 1, 2, -1, -3):
        for found, index in zip(program.inference(x=data, i=number).values(), INDICES, strict=True):
            np.testing.assert_array_equal(found, data[index(number)])


def test_what_is_no_index() -> None:
    x = rg.placeholder("x", (None, 3))
    for wrong in (rg.placeholder("f", ()), rg.placeholder("v", (2,), "int64"), rg.constant(True)):
        with pytest.raises(rg.DtypeError, match=r"test_indices\.py:\d+: can't index with .*rg\.gather"):
            x[wrong]
