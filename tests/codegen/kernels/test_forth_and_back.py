"""Scans alternate the direction in which they read weights that exceed L1, so that half of them are still in L1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from systems import needs

import rnngraph as rg
from rnngraph.codegen.kernels.matmul import Tiles

TARGET = "x86-64-v3"  # levels assume an L1 of 32 KiB on every machine
LARGE, SMALL = 100, 24


def program_of(units: int, **options: Any) -> rg.Program:
    x = rg.placeholder("x", (None, None, 7))
    outputs, _ = rg.dynamic_rnn(rg.BasicLSTMCell(units), x, scope="rnn")
    return rg.compile({"y": outputs}, loss=rg.reduce_mean(outputs * outputs), cache=False, seed=3, **options)


@pytest.mark.parametrize(("units", "goes_back"), [(LARGE, True), (SMALL, False)])
@pytest.mark.parametrize("graph", ["inference", "training"])
def test_large_weights_are_read_forth_and_back(graph: str, units: int, goes_back: bool) -> None:
    program = program_of(units, target=TARGET)
    scans = [part for part in getattr(program, graph).show("loops").split("\n\n") if part.startswith("# scan")]
    assert any("group" in text for text in scans) == goes_back


@needs(TARGET)
@pytest.mark.parametrize("options", [{}, {"weights": "int8"}, {"threads": 2}], ids=["alone", "int8", "threads"])
def test_the_direction_changes_no_bit(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    fed = [generator.standard_normal((rows, steps, 7)).astype(np.float32) for rows, steps in ((1, 6), (3, 5))]

    def results() -> list[np.ndarray]:
        program, found = program_of(LARGE, target=TARGET, **options), list[np.ndarray]()
        for x in fed:
            loss, gradients = program.training.gradients(x=x, seed=0)
            found += [program.inference(x=x)["y"], loss, *gradients.values()]
        return found

    given = results()
    monkeypatch.setattr(Tiles, "_traversal_direction", 0)
    for ours, theirs in zip(given, results(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
