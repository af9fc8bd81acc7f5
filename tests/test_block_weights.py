"""Products with weights of 8 and 4 bits in blocks, against NumPy in float64 on equally rounded numbers."""

from __future__ import annotations

import numpy as np
import pytest
from block_numbers import BLOCKS, activations_in_blocks, weights_in_blocks
from numpy.testing import assert_array_equal
from systems import levels, runs

import rnngraph as rg

SHAPES = [(1, 1, 100), (3, 32, 7), (1, 63, 17), (17, 100, 25), (2, 65, 1), (7, 768, 63), (25, 3, 2), (1, 1, 1)]
"""Tuples of rows, depth and columns."""


def program_of(weight: np.ndarray, kind: str, target: str = "host", threads: int = 1) -> rg.Program:
    product = rg.matmul(rg.placeholder("x", (None, len(weight))), rg.parameter("w", weight.shape))
    weights = rg.Narrow(kind, force=True)
    program = rg.compile(product, weights=weights, target=target, threads=threads)
    program.parameters["w"] = weight
    return program


def numbers(*shape: int, seed: int) -> np.ndarray:
    """Return numbers whose columns have different magnitudes."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3, shape[-1:])).astype(np.float32)


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("target", ["host", *levels("x86-64-v2")])
def test_products_are_those_of_rounded_numbers(kind: str, target: str) -> None:
    for seed, (rows, depth, columns) in enumerate(SHAPES):
        x, weight = numbers(depth, rows, seed=seed).T.copy(), numbers(depth, columns, seed=seed + 100)
        result = program_of(weight, kind, target).inference(x=x)
        left, right = activations_in_blocks(x), weights_in_blocks(weight, kind)
        bound = 2e-6 * (np.abs(left) @ np.abs(right)) + 1e-30
        assert (np.abs(result - left @ right) <= bound).all(), (rows, depth, columns)


@pytest.mark.parametrize("kind", BLOCKS)
def test_targets_with_fused_multiply_adds_threads_and_rows_have_equal_bits(kind: str) -> None:
    weight, x = numbers(100, 163, seed=1), numbers(17, 100, seed=2)
    expected = program_of(weight, kind).inference(x=x)
    for target in filter(runs, ("x86-64-v3", "x86-64-v4")):
        assert_array_equal(program_of(weight, kind, target).inference(x=x), expected)
    shared = program_of(weight, kind, threads=2)
    assert_array_equal(shared.inference(x=x), expected)
    for row in range(0, 17, 5):
        assert_array_equal(shared.inference(x=x[row : row + 1]), expected[row : row + 1])


@pytest.mark.parametrize("kind", BLOCKS)
def test_an_outlier_spoils_only_its_block(kind: str) -> None:
    """One large weight does not round the others of its column to 0, as a scale for the whole column would."""
    weight = np.full((64, 50), 0.01, np.float32)
    weight[0] = 1000
    x = np.ones((1, 64), np.float32)
    x[0, 0] = 0
    result = program_of(weight, kind).inference(x=x)
    np.testing.assert_allclose(result[0], 32 * 0.01, rtol=0.01)
    assert not program_of(weight, "int8").inference(x=x).any()


def test_patterns_mix_kinds() -> None:
    x = rg.placeholder("x", (None, None, 64))
    outputs, _ = rg.dynamic_rnn(rg.BasicLSTMCell(64), x)
    logits = rg.dense(outputs, 70, name="head")
    program = rg.compile(logits, weights={"head/*": "int8", "*": "int4"})
    lines = [line.split()[-1] for line in program.summary().splitlines() if "kernel" in line]
    assert lines == ["int4", "int8"]
    assert program.inference(x=np.zeros((1, 3, 64), np.float32)).shape == (1, 3, 70)


def test_weights_of_one_shape_and_two_kinds_have_panels_of_their_own() -> None:
    x, first, second = rg.placeholder("x", (None, 128)), numbers(128, 96, seed=3), numbers(128, 96, seed=4)
    parts = [rg.parameter(name, (128, 96)) for name in ("first", "second")]
    program = rg.compile(x @ parts[0] + x @ parts[1], weights={"first": "int8_blocks", "second": "int4"})
    program.parameters.load({"first": first, "second": second})
    fed = numbers(128, 5, seed=5).T.copy()
    expected = program_of(first, "int8_blocks").inference(x=fed) + program_of(second, "int4").inference(x=fed)
    assert_array_equal(program.inference(x=fed), expected)


def test_four_bits_are_stored_two_in_a_byte() -> None:
    """The loops show half a byte for each weight in the matrix's panel."""
    x = rg.placeholder("x", (None, 64))
    text = {}
    for kind in BLOCKS:
        program = rg.compile(rg.matmul(x, rg.parameter(f"w_{kind}", (64, 96))), weights=kind)
        text[kind] = str(program.inference.show("loops"))
    assert "of 8 steps of 8 bits" in text["int8_blocks"]
    assert "of 8 steps of 4 bits" in text["int4"]
