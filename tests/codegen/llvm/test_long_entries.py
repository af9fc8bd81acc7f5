"""Entries with many calls are compiled without LLVM's optimizations, unless they are linked to their callers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen.llvm import module
from rnngraph.export.c_interface import object_code


def net(layers: int) -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.GRUCell(5) for _ in range(layers)]), x)
    return rg.compile({"y": outputs}, seed=0, cache=False, target="x86-64-v3", threads=1)


@pytest.mark.parametrize(("layers", "is_long"), [(1, False), (12, True)])
def test_long_entries_have_an_attribute(layers: int, is_long: bool) -> None:
    text = str(net(layers).inference.show("llvm"))
    entry = next(line for line in text.split("\n") if line.startswith("define void @inference("))
    assert (" #1 " if is_long else " #0 ") in entry
    assert ("noinline optnone" in text) == is_long


def test_exports_have_no_such_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    linked = object_code.linked_code

    def recorded(modules: list[str], *arguments: object) -> bytes:
        texts.extend(modules)
        return linked(modules, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(object_code, "linked_code", recorded)
    net(12).inference.export(tmp_path / "net")
    assert texts
    assert not any("optnone" in text for text in texts)


def test_optimizations_of_entries_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
    found = net(12).inference(x=batch)["y"]
    monkeypatch.setattr(module, "MANY_CALLS", 10**6)
    np.testing.assert_array_equal(net(12).inference(x=batch)["y"], found)
