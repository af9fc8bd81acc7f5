"""Descriptions of code in memory for `perf`: addresses, layers and lines."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import layered_nets
import numpy as np
import pytest
from layered_nets import Leaky

import rnngraph as rg
from rnngraph.codegen.machine.target import host

pytestmark = pytest.mark.skipif("linux" not in host().triple, reason="perf is Linux'")
FEEDS = {"x": np.ones((2, 3, 3), np.float32)}


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> rg.InferenceGraph:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    x = rg.placeholder("x", shape=(None, None, 3))
    graph = rg.compile(rg.dynamic_rnn(Leaky(17), x, scope="encoder")[0]).inference
    graph(FEEDS)
    return graph


def test_a_map_has_the_addresses_of_functions(graph: rg.InferenceGraph, tmp_path: Path) -> None:
    path = graph.perf_map()
    assert path == tmp_path / f"perf-{os.getpid()}.map"
    lines = [line.split(" ", 2) for line in path.read_text().splitlines()]
    by_name = {name: (int(start, 16), int(size, 16)) for start, size, name in lines}
    (entry,) = graph.compiled.native_entries()
    assert by_name["inference"][0] == entry.address
    assert any(name.startswith("scan") and name.endswith("encoder/leaky forward") for name in by_name)
    places = sorted(by_name.values())
    assert all(start + size <= after for (start, size), (after, _) in pairwise(places))
    graph.perf_map()
    assert len(path.read_text().splitlines()) == 2 * len(lines)  # lines of other writers are preserved


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind, size, _ = struct.unpack_from("<IIQ", data)
        yield kind, data[16:size]
        data = data[size:]


def test_a_jitdump_has_the_lines_of_the_code_that_runs(graph: rg.InferenceGraph, tmp_path: Path) -> None:
    path = graph.perf_map(jitdump=True)
    assert path == tmp_path / f"jit-{os.getpid()}.dump"
    data = path.read_bytes()
    magic, version, size, _, _, process = struct.unpack_from("<IIIIII", data)
    assert (magic, version, size, process) == (0x4A695444, 1, 40, os.getpid())
    actual = list(records(data[40:]))
    assert [kind for kind, _ in actual] == [2, 0] * (len(actual) // 2)
    lines: set[tuple[str, int]] = set()
    for (_, places), (_, loaded) in zip(actual[::2], actual[1::2], strict=True):
        start, count = struct.unpack_from("<QQ", places)
        _, _, _, address, length, index = struct.unpack_from("<IIQQQQ", loaded)
        assert address == start
        name, code = loaded[40 : -length or None].rstrip(b"\0"), loaded[len(loaded) - length :]
        assert name
        assert code == ctypes.string_at(address, length)
        position, before = 16, address
        for _ in range(count):
            where, line, _ = struct.unpack_from("<QII", places, position)
            end = places.index(0, position + 16)
            lines.add((places[position + 16 : end].decode(), line))
            assert before <= where < address + length
            position, before = end + 1, where
        assert index < len(actual)
    source = Path(layered_nets.__file__).read_text().split("\n")
    assert (layered_nets.__file__, next(n for n, line in enumerate(source, 1) if "rg.tanh" in line)) in lines


def test_refusals(graph: rg.InferenceGraph, tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, 3))
    with pytest.raises(rg.errors.GraphError, match=r"no code yet; call it first"):
        rg.compile(rg.dense(x, 2)).inference.perf_map()
    with pytest.raises(rg.errors.DtypeError, match="jitdump"):
        graph.perf_map("yes")  # type: ignore[arg-type]
    (tmp_path / f"perf-{os.getpid()}.map").mkdir()
    with pytest.raises(rg.errors.FileError, match="can't be written"):
        graph.perf_map()
    with pytest.raises(rg.errors.GraphError, match="Linux"):
        rg.compile(rg.dense(x, 2), target="x86-64-windows").inference.perf_map()


def test_a_trainers_steps() -> None:
    x = rg.placeholder("x", shape=(None, 3))
    trainer = rg.Trainer(rg.compile({"y": (y := rg.dense(x, 2))}, loss=rg.reduce_mean(rg.square(y))))
    trainer.step(x=np.ones((2, 3), np.float32))
    path = trainer.perf_map()
    text = path.read_text()
    path.unlink()
    assert "dense update" in text
