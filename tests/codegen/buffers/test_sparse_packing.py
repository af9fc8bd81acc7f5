"""Packing of block-sparse weights: which blocks are stored, and their height."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sparse_nets import zeroed

import rnngraph as rg
from rnngraph.codegen.buffers.sparse_packing import BLOCKS, DENSE, TALL_END
from rnngraph.codegen.compile import planned
from rnngraph.export.c_interface.ports import ExportedEntry
from rnngraph.export.native_code import entry_of


def packed(target: str, kernel: np.ndarray, parts: int = 1, **narrow: str) -> ExportedEntry:
    """Return an entry with the packed weights of one product."""
    options: dict[str, Any] = {"target": target, "threads": parts, "sparse": True, "cache": False, **narrow}
    program = rg.compile({"y": rg.dense(rg.placeholder("x", (None, kernel.shape[0])), kernel.shape[1])}, **options)
    program.parameters["dense/kernel"] = kernel
    compiled = program.inference.compiled
    plan = planned(compiled.sized(("y",), {"B": 1}), program.options.target, "net", parts)
    return entry_of(plan, program.options.target, program.parameters, True)


def numbers_of(entry: ExportedEntry) -> np.ndarray:
    start, count = entry.plan.panel_places["numbers0"]
    return np.frombuffer(entry.panels[start : start + count], np.int32)


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3", "aarch64-linux", "thumbv7em-none-eabihf", "wasm32"])
def test_blocks_are_as_high_as_zeros_are(target: str) -> None:
    """Blocks have four k if zeros are in blocks, and one k if zeros are in rows. Dense weights have no blocks."""
    generator = np.random.default_rng(4)
    kernel = generator.normal(size=(67, 64)).astype(np.float32)
    for density, block, dense, tall in ((0.2, (4, 8), 0, 64), (0.2, (1, 16), 0, 0), (1.0, (1, 1), 1, 64)):
        numbers = numbers_of(packed(target, zeroed(kernel, density, block, generator)))
        assert (numbers[DENSE], numbers[TALL_END]) == (dense, tall)


@pytest.mark.parametrize(("target", "wide"), [("x86-64-v3", "i32x8"), ("x86-64-v4", "i32x16")])
def test_tiles_serve_where_integers_have_few_zeros(target: str, wide: str) -> None:
    """Vectors are as wide as without ``sparse``, so that tiles are not much slower."""
    narrow = {"weights": "int8", "activations": "int8"}
    generator = np.random.default_rng(4)
    kernel = generator.normal(size=(128, 128)).astype(np.float32)
    for density, dense in ((0.05, 0), (0.4, wide == "i32x16"), (0.9, 1)):
        left = zeroed(kernel, density, (4, 8), generator)
        assert numbers_of(packed(target, left, **narrow))[DENSE] == dense
    x = rg.placeholder("x", (None, 128))
    program = rg.compile(rg.dense(x, 128), target=target, sparse=True, cache=False, **narrow)
    assert f"columns of {wide}" in program.inference.show("loops")


def test_as_many_blocks_as_are_not_zero() -> None:
    kernel = np.zeros((64, 64), np.float32)
    for row, column in ((0, 0), (5, 63), (36, 17), (63, 8)):
        kernel[row, column] = 1.0
    assert numbers_of(packed("x86-64-v3", kernel))[BLOCKS] == 4
    assert numbers_of(packed("x86-64-v3", np.zeros_like(kernel)))[BLOCKS] == 0
    assert numbers_of(packed("x86-64-v3", -np.zeros_like(kernel)))[BLOCKS] == 0


def test_code_reads_tiles_or_blocks() -> None:
    """Packed weights have two forms, tiles and blocks. Exports omit the unused one, and the unused end of blocks."""
    generator = np.random.default_rng(5)
    whole = generator.normal(size=(64, 64)).astype(np.float32)
    entry = packed("x86-64-v3", whole)
    used = entry.plan.used_bytes(entry.panels)
    assert used.keys() == {"panel0", "blocks0", "numbers0"}
    assert (used["panel0"], used["blocks0"]) == (whole.nbytes, 0)
    entry = packed("x86-64-v3", zeroed(whole, 0.2, (4, 8), generator))
    used, blocks = entry.plan.used_bytes(entry.panels), numbers_of(entry)[BLOCKS]
    assert (used["panel0"], used["blocks0"]) == (0, blocks * 4 * 8 * 4)
    entry = packed("x86-64-v3", np.zeros_like(whole))
    used = entry.plan.used_bytes(entry.panels)
    assert (used["panel0"], used["blocks0"]) == (0, 0)
    assert used["numbers0"] > 0
