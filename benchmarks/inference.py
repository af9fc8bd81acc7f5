"""Inference side by side: ours, onnxruntime and torch where installed, and this machine's floor.

    python benchmarks/inference.py [--rounds N] [--json FILE] [ROW …]

One core, pinned; within each round the machine's limits are probed and every contender runs in turn. Shared
machines change their speed from second to second, so ratios are taken within a round and their medians shown. The
floor of a layer is its multiply-adds at the measured rate, or, for one row a step, the stream of its recurrent
weights from the cache that holds them.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import Limits, limits
from rich.console import Console
from rich.table import Table

import rnngraph as rg
from rnngraph.codegen.target import target_of

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3, "GRU before": 3, "peephole": 4, "own peephole": 4}


@dataclass(frozen=True)
class Row:
    """A workload: so many layers of a cell over [batch, time, inputs]."""

    cell: str
    batch: int
    time: int
    inputs: int
    units: int
    layers: int = 1

    @property
    def name(self) -> str:
        stack = f" x{self.layers}" if self.layers > 1 else ""
        return f"{self.cell} B{self.batch} T{self.time} I{self.inputs} H{self.units}{stack}"

    def widths(self) -> list[int]:
        return [self.inputs, *[self.units] * (self.layers - 1)]


ROWS = [
    Row("LSTM", 1, 1, 64, 64),
    Row("LSTM", 1, 100, 40, 100, 3),
    Row("RNN", 1, 100, 40, 100, 3),
    Row("LSTM", 1, 100, 128, 128),
    Row("GRU", 1, 100, 128, 128),
    Row("GRU before", 1, 100, 128, 128),
    Row("LSTM", 1, 100, 256, 256, 2),
    Row("LSTM", 1, 100, 1024, 1024),
    Row("LSTM", 16, 100, 128, 128, 2),
    Row("RNN", 32, 100, 100, 100, 3),
    Row("GRU", 32, 100, 256, 256, 3),
    Row("LSTM", 32, 100, 256, 256, 3),
    Row("LSTM", 64, 100, 512, 512, 2),
    Row("peephole", 1, 100, 64, 128),
    Row("own peephole", 1, 100, 64, 128),
    Row("peephole", 32, 100, 64, 128),
    Row("own peephole", 32, 100, 64, 128),
]


class OwnPeephole(rg.Cell):
    """A peephole LSTM as a user would write it, gate by gate."""

    state_type = rg.LSTMStateTuple

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"c": rg.memory(self.num_units), "h": self.num_units}

    def step(self, p: Any, x: Any, state: Any) -> Any:
        n, c, h = self.num_units, state["c"], state["h"]

        def gate(name: str) -> Any:
            from_input, from_state = p.kernel(f"w_{name}", (x.width, n)), p.kernel(f"u_{name}", (n, n))
            return x @ from_input + h @ from_state + p.bias(f"b_{name}", (n,))

        i = rg.sigmoid(gate("i") + p.kernel("p_i", (n,)) * c)
        f = rg.sigmoid(gate("f") + p.kernel("p_f", (n,)) * c + 1.0)
        c = f * c + i * rg.tanh(gate("j"))
        h = rg.sigmoid(gate("o") + p.kernel("p_o", (n,)) * c) * rg.tanh(c)
        return h, {"c": c, "h": h}


def our_cell(row: Row) -> rg.Cell:
    match row.cell:
        case "RNN":
            return rg.BasicRNNCell(row.units)
        case "LSTM":
            return rg.BasicLSTMCell(row.units)
        case "peephole":
            return rg.LSTMCell(row.units, use_peepholes=True)
        case "own peephole":
            return OwnPeephole(row.units)
    return rg.GRUCell(row.units, reset_after=row.cell == "GRU")


def ours(row: Row, x: np.ndarray) -> Callable[[], object]:
    """Our call, results into the caller's array."""
    inputs = rg.placeholder("x", (None, None, row.inputs))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([our_cell(row) for _ in range(row.layers)]), inputs)
    program = rg.compile(outputs)
    if row.time == 1:
        stream, step = program.inference.stream(row.batch), np.ascontiguousarray(x[:, 0])
        return lambda: stream.step(x=step)
    out = program.inference(x=x)
    return lambda: program.inference(x=x, out=out)


def torch_call(row: Row, x: np.ndarray) -> Callable[[], object] | None:
    kinds = {"RNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    if row.cell not in kinds:
        return None
    torch.set_num_threads(1)
    module = getattr(torch.nn, kinds[row.cell])(row.inputs, row.units, row.layers, batch_first=True).eval()
    data = torch.from_numpy(x)

    def call() -> object:
        with torch.inference_mode():
            return module(data)

    return call


def onnxruntime_call(row: Row, x: np.ndarray) -> Callable[[], object] | None:
    """A model of one op a layer, weights as initializers so that the runtime may pack them ahead."""
    try:
        runtime, onnx = importlib.import_module("onnxruntime"), importlib.import_module("onnx")
    except ImportError:
        return None
    op = {"RNN": "RNN", "LSTM": "LSTM", "GRU": "GRU", "GRU before": "GRU", "peephole": "LSTM"}.get(row.cell)
    if op is None:
        return None
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    generator, gates = np.random.default_rng(0), {"RNN": 1, "LSTM": 4, "GRU": 3}[op]
    nodes, weights, last = [], [], "x"
    for layer, width in enumerate(row.widths()):
        shapes = {
            "W": (1, gates * row.units, width),
            "R": (1, gates * row.units, row.units),
            "B": (1, 2 * gates * row.units),
        }
        if row.cell == "peephole":
            shapes["P"] = (1, 3 * row.units)
        for name, shape in shapes.items():
            values = generator.uniform(-0.1, 0.1, shape).astype(np.float32)
            weights.append(numpy_helper.from_array(values, f"{name}{layer}"))
        given = [last, f"W{layer}", f"R{layer}", f"B{layer}", "", "", "", f"P{layer}" if "P" in shapes else ""]
        while given[-1] == "":
            given.pop()
        extra = {"linear_before_reset": int(row.cell == "GRU")} if op == "GRU" else {}
        nodes.append(helper.make_node(op, given, [f"y{layer}"], hidden_size=row.units, **extra))
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", "axis"], [f"s{layer}"]))
        last = f"s{layer}"
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, [row.time, row.batch, row.inputs])],
        [helper.make_tensor_value_info(last, kind, [row.time, row.batch, row.units])], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = io.BytesIO()
    onnx.save(model, file)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    feed = {"x": np.ascontiguousarray(x.transpose(1, 0, 2))}
    return lambda: session.run(None, feed)


def floor_seconds(row: Row, found: Limits) -> float:
    """What no code can beat: multiply-adds over their rate, weights over the bandwidth of their cache."""
    target = target_of(None)
    lanes = target.lanes(4)
    units, gates, total = -(-row.units // lanes) * lanes, GATES[row.cell], 0.0
    for width in row.widths():
        from_input = 2.0 * row.batch * row.time * gates * units * width / found.flops
        recurrent = 2.0 * row.batch * gates * units * row.units / found.flops
        weights = 4.0 * gates * units * row.units
        rate = found.first_cache if weights <= target.first_cache else found.second_cache
        rate = found.third_cache if weights > target.second_cache else rate
        total += from_input + row.time * max(recurrent, weights / rate)
    return total


def measure(row: Row, calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds a call, one figure a round, contenders in turn; ``floor`` from limits probed in that round."""
    times: dict[str, list[float]] = {"floor": [], **{name: [] for name in calls}}
    repeats = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, min(1000, int(0.02 / max(1e-7, time.perf_counter() - start))))
    for _ in range(rounds):
        times["floor"].append(floor_seconds(row, limits(repeats=1)))
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            times[name].append((time.perf_counter() - start) / repeats[name])
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="only rows whose name contains one of these")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found, console = limits(), Console()
    versions = {name: _version(name) for name in ("onnxruntime", "torch")}
    console.print(
        f"{target_of(None).processor}, one core: {found.flops / 1e9:.0f} GFLOP/s; reads {found.first_cache / 1e9:.0f}, "
        f"{found.second_cache / 1e9:.0f}, {found.third_cache / 1e9:.0f} GB/s from first, second, third cache"
    )
    table = Table(
        "workload", "rnngraph ms", "spread", "floor ms", "of floor", *(f"{n} {v}" for n, v in versions.items())
    )
    report = []
    for row in ROWS:
        if options.rows and not any(part in row.name for part in options.rows):
            continue
        x = np.random.default_rng(0).normal(size=(row.batch, row.time, row.inputs)).astype(np.float32)
        calls = {"rnngraph": ours(row, x), "onnxruntime": onnxruntime_call(row, x), "torch": torch_call(row, x)}
        times = measure(row, {name: call for name, call in calls.items() if call is not None}, options.rounds)
        median = {name: statistics.median(values) for name, values in times.items()}
        own = median["rnngraph"]
        spread = (max(times["rnngraph"]) - min(times["rnngraph"])) / own
        peers = [
            f"{median[n] * 1e3:.3f} ({_ratio(times, n, 'rnngraph'):.2f}x)" if n in median else "-" for n in versions
        ]
        of_floor = _ratio(times, "rnngraph", "floor")
        table.add_row(
            row.name, f"{own * 1e3:.3f}", f"{spread:.0%}", f"{median['floor'] * 1e3:.3f}", f"{of_floor:.2f}", *peers
        )
        report.append({"row": row.name, "times": times})
    console.print(table)
    if options.json:
        options.json.write_text(json.dumps({"limits": vars(found), "versions": versions, "rows": report}, indent=1))


def _ratio(times: dict[str, list[float]], one: str, other: str) -> float:
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


def _version(name: str) -> str:
    try:
        return str(importlib.import_module(name).__version__)
    except ImportError:
        return "(not installed)"


if __name__ == "__main__":
    main()
