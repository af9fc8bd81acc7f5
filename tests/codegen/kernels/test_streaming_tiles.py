"""Products of few rows read weights that exceed all caches as one stream."""

from __future__ import annotations

import re

import numpy as np
import pytest
from systems import needs

import rnngraph as rg
from rnngraph.codegen.schedule.plan import planner

TARGET = "x86-64-v4"
DEPTH, WIDTH = 64, 160


def product(rows: int, weights: str) -> rg.Program:
    x = rg.placeholder("x", (rows, DEPTH))
    return rg.compile(rg.dense(x, WIDTH, use_bias=False), seed=3, cache=False, target=TARGET, weights=weights)


def columns(program: rg.Program) -> int:
    """Return the number of columns of the widest tile."""
    return max(int(text) for text in re.findall(r"rows x (\d+) columns", str(program.inference.show("loops"))))


@pytest.mark.parametrize(
    ("rows", "weights", "is_one_stream"),
    [(1, "float32", True), (2, "float32", False), (1, "bfloat16", True), (1, "int4", True), (6, "int8_blocks", True)],
)
def test_tiles_have_one_column_if_weights_come_from_memory(
    monkeypatch: pytest.MonkeyPatch, rows: int, weights: str, is_one_stream: bool
) -> None:
    assert columns(product(rows, weights)) > 1
    monkeypatch.setattr(planner, "SHARED_BYTES", 1)
    assert (columns(product(rows, weights)) == 1) == is_one_stream


@needs(TARGET)
@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8", "int8_blocks", "int4"])
def test_streams_change_no_bit(monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    x = np.random.default_rng(0).standard_normal((9, DEPTH)).astype(np.float32)
    expected = product(9, weights).inference(x=x)
    monkeypatch.setattr(planner, "SHARED_BYTES", 1)
    for rows in (1, 3, 9):
        np.testing.assert_array_equal(product(rows, weights).inference(x=x[:rows]), expected[:rows])
