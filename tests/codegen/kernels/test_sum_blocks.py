"""Long sums of products are accumulated in blocks that depend on shapes alone, which bounds rounding errors."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen.cost_model.register_tiles import SUM_BLOCK

DEPTHS = (SUM_BLOCK - 1, SUM_BLOCK, SUM_BLOCK + 1, 3 * SUM_BLOCK // 2 + 7, 2 * SUM_BLOCK, 3 * SUM_BLOCK + 1)


def operands(rows: int, depth: int, width: int, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(depth)
    left, right = rng.standard_normal((rows, depth)), rng.standard_normal((depth, width))
    return left.astype(dtype), (right / np.sqrt(depth)).astype(dtype)


def product(left: np.ndarray, right: np.ndarray, threads: int = 1) -> np.ndarray:
    """Return the product, computed by code that is compiled for the operands' shapes."""
    x, w = (rg.placeholder(name, array.shape, array.dtype) for name, array in (("x", left), ("w", right)))
    return np.asarray(rg.compile(x @ w, threads=threads).inference(x=left, w=right))


def in_blocks(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the product by definition: multiply-adds in order within each block, and then sums of blocks in order."""
    total = np.zeros((left.shape[0], right.shape[1]))
    for first in range(0, left.shape[1], SUM_BLOCK):
        part = np.zeros_like(total)
        for k in range(first, min(first + SUM_BLOCK, left.shape[1])):
            part = np.float32(np.multiply.outer(left[:, k].astype(float), right[k].astype(float)) + part)
        total = np.float32(total + part)
    return total


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_product_is_the_sum_of_its_blocks(depth: int) -> None:
    left, right = operands(3, depth, 17)
    np.testing.assert_array_equal(product(left, right), in_blocks(left, right))


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (1, 25), (2, 63), (7, 3), (25, 100)])
def test_bits_do_not_depend_on_fixed_sizes_or_on_the_worker(rows: int, width: int) -> None:
    """Bits agree for a fixed depth, a symbolic depth, a symbolic number of rows, and several threads."""
    sequences, x = rg.placeholder("sequences", (1, "time", width)), rg.placeholder("x", (rows, "time"))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(1), sequences)
    of_any_depth = rg.compile({"product": x @ sequences[0], "outputs": outputs})
    for depth in DEPTHS:
        left, right = operands(rows, depth, width)
        expected = product(left, right)
        found = of_any_depth.inference(x=left, sequences=right[None])["product"]
        np.testing.assert_array_equal(found, expected)
        weights = rg.parameter("w", right.shape)
        program = rg.compile(rg.placeholder("x", (None, depth)) @ weights, threads=2)
        program.parameters[weights.name] = right
        for kept in ([0], range(rows)):
            np.testing.assert_array_equal(program.inference(x=left[kept]), expected[kept])


def test_errors_do_not_grow_with_the_length() -> None:
    errors = {}
    for depth in (SUM_BLOCK, 3 * SUM_BLOCK, 8 * SUM_BLOCK):
        left, right = operands(64, depth, 96)
        exact = left.astype(float) @ right.astype(float)
        errors[depth] = np.sqrt(np.mean((product(left, right) - exact) ** 2))
    first, *longer = errors.values()
    assert max(longer) < 1.1 * first  # with a single sum the factors are 1.7 and 2.7


def test_doubles_and_negative_zeros() -> None:
    left, right = operands(2, 2 * SUM_BLOCK + 3, 5, "float64")
    np.testing.assert_allclose(product(left, right), left @ right, rtol=1e-12, atol=1e-14)
    found = product(np.zeros((1, 2 * SUM_BLOCK), np.float32), -np.ones((2 * SUM_BLOCK, 3), np.float32))
    np.testing.assert_array_equal(np.signbit(found), False)


def test_the_plan_text_shows_the_blocks() -> None:
    x = rg.placeholder("x", (2, SUM_BLOCK + 1))
    text = rg.compile(x @ rg.parameter("w", (SUM_BLOCK + 1, 3))).inference.show("loops")
    assert f"in blocks of {SUM_BLOCK}" in text
