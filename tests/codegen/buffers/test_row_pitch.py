"""Rows that a product reads are not whole multiples of the bytes after which addresses share a set of L1."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg


def program(width: int) -> rg.Program:
    x = rg.placeholder("x", (26, 16))
    inner = rg.relu(rg.dense(x, width, use_bias=False))
    return rg.compile(rg.dense(inner, 8, use_bias=False), seed=1, cache=False, target="x86-64-v3")


@pytest.mark.parametrize(("width", "pitch"), [(1024, 1040), (3072, 3088), (1008, 1008), (512, 512)])
def test_rows_of_left_operands_are_spread(width: int, pitch: int) -> None:
    text = str(program(width).inference.show("loops"))
    assert f"{pitch}*" in text
    assert (f"+{width}]" in text) == (width == pitch)


def test_values_are_those_of_numpy() -> None:
    net, x = program(1024), np.random.default_rng(0).standard_normal((26, 16)).astype(np.float32)
    first, second = net.parameters.values()
    np.testing.assert_allclose(net.inference(x=x), np.maximum(x @ first, 0) @ second, rtol=1e-4, atol=1e-4)


def test_empty_rows_stay_empty() -> None:
    x, w = rg.placeholder("x", (None, 3, 4)), rg.placeholder("w", (None, 4, 5))
    net = rg.compile(rg.matmul((x / 3.0)[:, :, :0], (w * 2.0)[:, :0]), cache=False)
    feeds = {"x": np.ones((2, 3, 4), np.float32), "w": np.ones((2, 4, 5), np.float32)}
    np.testing.assert_array_equal(net.inference(feeds), np.zeros((2, 3, 5)))
