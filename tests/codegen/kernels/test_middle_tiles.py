"""Tiles of a middle height, between the highest tiles of an open number of steps and single rows."""

from __future__ import annotations

import re

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen.kernels.tile_rows import MIDDLE_HEIGHT


def test_remainders_of_steps_are_tiles_of_a_middle_height() -> None:
    """Without them, up to 12 of 64 steps would be single rows, which wait for their own sums."""
    x = rg.placeholder("x", (1, None, 48))
    program = rg.compile(rg.dynamic_rnn(rg.BasicRNNCell(64), x)[0], cache=False)
    data = np.random.default_rng(0).standard_normal((1, 70, 48), np.float32)
    whole = program.inference(x=data)
    heights = {int(height) for height in re.findall(r"tile (\d+) rows?", str(program.inference.show("loops")))}
    assert {1, MIDDLE_HEIGHT} < heights
    for steps in (1, 3, 4, 11, 25, 69):
        np.testing.assert_array_equal(program.inference(x=data[:, :steps]), whole[:, :steps])


@pytest.mark.parametrize("kind", ["int8_blocks", "int4"])
def test_products_in_blocks_of_a_prompt_are_one_product(kind: str) -> None:
    """Each weight is read once for many steps, with the bits of single steps."""
    x = rg.placeholder("x", (None, None, 64))
    cell = rg.MultiRNNCell([rg.MinGRUCell(64), rg.MinGRUCell(64)])
    program = rg.compile(rg.dynamic_rnn(cell, x)[0], weights=kind, cache=False)
    data = np.random.default_rng(0).standard_normal((1, 30, 64), np.float32)
    whole = program.inference(x=data)
    stream = program.inference.stream()
    np.testing.assert_array_equal([stream.step(x=row) for row in data.swapaxes(0, 1)], whole.swapaxes(0, 1))
    plan = str(program.inference.show("plan"))
    assert "kernel block_matmul : f32[T" in plan or "f32[T,1,64]" in plan
    assert not re.search(r"\n    kernel block_matmul", plan), "products with weights of all steps are not in loops"
