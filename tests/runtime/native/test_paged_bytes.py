"""Large memory is aligned, writable and advised to have large pages."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.runtime.native import entry
from rnngraph.runtime.native.aligned_memory import LINE, PAGE, paged_bytes


@pytest.mark.parametrize("count", [1, PAGE - 1, PAGE, 3 * PAGE + 5])
def test_memory_is_aligned_and_writable(count: int) -> None:
    memory = paged_bytes(count, "a test")
    assert memory.shape == (count,)
    assert memory.ctypes.data % LINE == 0
    memory[:] = 7
    assert memory[-1] == 7


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux' list of mappings")
def test_large_memory_is_advised_to_have_large_pages() -> None:
    if not Path("/sys/kernel/mm/transparent_hugepage").exists():
        pytest.skip("the kernel has no large pages")
    memory = paged_bytes(4 * PAGE, "a test")
    mappings = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(encoding="utf-8"))
    bounds = [(*(int(word, 16) for word in text.split()[0].split("-")), text) for text in mappings]
    (flags,) = (
        re.findall(r"VmFlags: (.*)", text) for first, last, text in bounds if first <= memory.ctypes.data < last
    )
    assert "hg" in flags[0].split()


def test_all_packed_weights_of_an_entry_are_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[np.ndarray] = []

    def allocate(count: int, purpose: str) -> np.ndarray:
        pieces.append(paged_bytes(count, purpose))
        return pieces[-1]

    monkeypatch.setattr(entry, "paged_bytes", allocate)
    x = rg.placeholder("x", (1, 512))
    y = rg.dense(rg.dense(x, 2048, use_bias=False), 1024, use_bias=False)
    program = rg.compile(y, seed=0, cache=False)
    fed = np.random.default_rng(0).standard_normal((1, 512)).astype(np.float32)
    result = program.inference(x=fed)
    (piece,) = pieces
    assert piece.nbytes >= sum(array.nbytes for array in program.parameters.values())
    weights = [array.astype(np.float64) for array in program.parameters.values()]
    np.testing.assert_allclose(result, fed @ weights[0] @ weights[1], rtol=1e-3, atol=1e-4)
