"""Data that exceed L2 are prefetched while tiles compute: weights of steps, sums of gradients, and results."""

from __future__ import annotations

import numpy as np
import pytest
from systems import needs

import rnngraph as rg

TARGET = "x86-64-v3"  # levels assume an L2 of 512 KiB on every machine
LARGE, SMALL = 192, 64


def program_of(units: int, batch: int | None = None, weights: str = "float32") -> rg.Program:
    x = rg.placeholder("x", (batch, None, units))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(units), x, scope="rnn")
    loss = rg.reduce_mean(outputs * outputs) if weights == "float32" else None
    return rg.compile({"y": outputs}, loss=loss, cache=False, seed=3, target=TARGET, weights=weights)


def functions(program: rg.Program, graph: str = "inference") -> dict[str, str]:
    """Return the loop IR of each kernel by its name."""
    parts = str(getattr(program, graph).show("loops")).split("\n\n")
    return {part.partition("\n")[0].removeprefix("# "): part for part in parts}


@pytest.mark.parametrize(("units", "rows", "prefetches"), [(LARGE, 7, True), (LARGE, 1, False), (SMALL, 7, False)])
def test_tiles_of_several_rows_prefetch_weights_too_large_for_the_cache(
    units: int, rows: int, prefetches: bool
) -> None:
    found = functions(program_of(units, rows))
    assert any("prefetch m" in text for name, text in found.items() if name.startswith("scan")) == prefetches
    over_all_steps = [text for name, text in found.items() if "matmul" in name and not name.startswith("scan")]
    assert ["prefetch m" in text for text in over_all_steps] == [units == LARGE]


def test_sums_of_gradients_prefetch_the_next_tile() -> None:
    for units, prefetches in ((LARGE, True), (SMALL, False)):
        sums = [text for name, text in functions(program_of(units, 7), "training").items() if "outer_sum" in name]
        assert any("prefetch m" in text for text in sums) == prefetches


@pytest.mark.parametrize(("units", "prefetches"), [(1024, True), (64, False)])
def test_tiles_prefetch_the_memory_of_results_that_exceed_the_cache(units: int, prefetches: bool) -> None:
    program = rg.compile(rg.dense(rg.placeholder("x", (64, 64)), units), cache=False, target=TARGET)
    assert any("for writing" in text for text in functions(program).values()) == prefetches


@needs(TARGET)
@pytest.mark.parametrize("weights", ["float32", "int8", "bfloat16"])
def test_prefetching_changes_no_bit(weights: str) -> None:
    """Products of several rows prefetch; products of a single row do not."""
    program = program_of(256, weights=weights)
    generator = np.random.default_rng(0)
    for rows in (2, 3, 17):
        batch = generator.standard_normal((rows, 5, 256)).astype(np.float32)
        together = program.inference(x=batch)["y"]
        for number in range(rows):
            np.testing.assert_array_equal(program.inference(x=batch[number : number + 1])["y"][0], together[number])
