"""Graphs of hostile files: every graph that the verifier accepts equals the interpreter, or raises a documented error.

They run in a process of their own (``hostile_calls``), which a stray read or write kills.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile_calls import differences
from hostile_graphs import UNARY, draw

from rnngraph.ir.graph import Graph, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.ops import OPS
from rnngraph.ir.types import TensorType, size
from rnngraph.ir.verifier import CREATED_BY_PASSES, DECLARED_ONLY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="protected pages are made through Linux calls")

SCRIPT = Path(__file__).parent / "helpers" / "hostile_calls.py"
TOGETHER = 250
"""Number of graphs in one process."""


def check(side: str, first: int, count: int, *options: str) -> None:
    command = [sys.executable, "-W", "ignore", "-X", "faulthandler", str(SCRIPT), side, str(first), str(count)]
    command += options
    environment = {name: os.environ[name] for name in ("PYTHONPATH", "XDG_CACHE_HOME")}
    environment |= {"OMP_NUM_THREADS": "1", "PATH": ""}
    result = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=environment, check=False)
    lines = [line.split(" ", 2) for line in result.stdout.splitlines()]
    begun = max((int(number) for word, number, *_ in lines if word == "begin"), default=first)
    assert result.returncode == 0, f"graph {begun} at the {side}: exit {result.returncode}\n{result.stderr[-3000:]}"
    assert [line for line in result.stdout.splitlines() if line.startswith("found")] == []
    assert sum(word == "ok" for word, *_ in lines) == count


@pytest.mark.parametrize(("side", "first"), [("end", 40), ("start", 500)])
def test_graphs_that_pass_the_verifier(side: str, first: int) -> None:
    check(side, first, 20)


@pytest.mark.parametrize(("side", "first"), [("end", 30), ("start", 115)])
def test_graphs_of_which_open_sizes_are_0(side: str, first: int) -> None:
    check(side, first, 10, "empty")


@pytest.mark.exhaustive
@pytest.mark.parametrize("side", ["end", "start"])
@pytest.mark.parametrize("first", range(20_000, 22_000, TOGETHER))
def test_many_graphs_of_which_open_sizes_are_0(first: int, side: str) -> None:
    check(side, first + 5_000 * (side == "start"), TOGETHER, "empty")


@pytest.mark.exhaustive
@pytest.mark.parametrize("side", ["end", "start"])
@pytest.mark.parametrize("first", range(10_000, 15_000, TOGETHER))
def test_many_graphs_that_pass_the_verifier(first: int, side: str) -> None:
    check(side, first + 5_000 * (side == "start"), TOGETHER)


def test_graphs_contain_every_kind_of_a_file() -> None:
    """Random graphs cover every op of lowered graphs, nested loops, loops of no steps, and sizes of 0."""
    graphs = [draw(seed) for seed in range(400)]
    nodes = [node for hostile in graphs for node in hostile.graph.walk()]
    assert {*OPS} - {node.op for node in nodes} - {*UNARY} == {*DECLARED_ONLY, *CREATED_BY_PASSES}
    scans = [node for node in nodes if node.op == "scan"]
    assert any(inner.op == "scan" for scan in scans for inner in scan["body"].nodes)
    assert any(scan.get("when") is not None for scan in scans)
    assert sum(0 in array.shape for hostile in graphs for array in hostile.feeds.values()) > 50


def test_the_comparison_detects_differences() -> None:
    """Slightly wrong results, NaN, and other shapes or dtypes are detected; rounding is accepted."""
    x = make("input", label="x", type=TensorType("float32", (size("T"), 3)))
    ids = make("cast", x, dtype="int64")
    graph = Graph.of("g", [("y", make("exp", make("reduce_sum", x, axes=(1,), keepdims=False))), ("n", ids)])
    feeds = {"x": np.arange(6, dtype=np.float32).reshape(2, 3) / 7}
    right = interpret(graph, feeds)
    assert differences(right, graph, feeds) == []
    assert differences({"y": right["y"] * np.float32(1 + 1e-6)}, graph, feeds) == []
    spoilt = right["y"].copy()
    spoilt[-1] = np.nan
    for wrong in (right["y"] * np.float32(1.01), spoilt, right["y"][None], right["y"].astype(np.float64)):
        assert differences({"y": wrong}, graph, feeds) == ["y"]
    assert differences({"n": right["n"] + (right["n"] == 0)}, graph, feeds) == ["n"]
