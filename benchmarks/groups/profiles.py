"""Group that measures profiles: their overhead, the ratio of their sum to a call, and time without a source line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from workloads import OwnPeephole

import rnngraph as rg

from .basis import Options, Record, microseconds

BATCH, TIME, INPUTS, UNITS = 8, 100, 40, 100
SECONDS = 0.5


def profiles(options: Options) -> Iterator[Record]:
    for name, build in NETS.items():
        if options.wants(name):
            results = [build() for _ in range(options.rounds)]
            figures = {
                "call": [profile.call for profile in results],
                "ratio": [profile.ratio for profile in results],
                "python": [profile.python / profile.call for profile in results],
                "unowned": [profile.unowned for profile in results],
                "over floor": [profile.seconds / profile.floor for profile in results],
            }
            middle = {key: float(np.median(values)) for key, values in figures.items()}
            yield {"row": name, "figures": middle | {"spread": float(np.ptp(figures["ratio"]))}}


def profiles_cells(record: Record) -> dict[str, str]:
    figures = record["figures"]
    return {
        "call µs": microseconds(figures["call"]),
        "sum of the profile over it": f"{figures['ratio']:.3f}",
        "spread": f"{figures['spread']:.1%}",
        "Python": f"{figures['python']:.1%}",
        "no line's": f"{figures['unowned']:.2%}",
        "over floor": f"{figures['over floor']:.2f}",
    }


def inputs(batch: int = BATCH, width: int = INPUTS) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, TIME, width)).astype(np.float32)


def stack() -> Any:
    """Return a stack of three kinds of cells."""
    x = rg.placeholder("x", (None, None, INPUTS))
    cells = [rg.BasicRNNCell(UNITS), rg.GRUCell(UNITS), rg.BasicLSTMCell(UNITS)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    return rg.compile(outputs).inference.profile({x: inputs()}, seconds=SECONDS)


def own_cell() -> Any:
    x = rg.placeholder("x", (None, None, INPUTS))
    return rg.compile(rg.dynamic_rnn(OwnPeephole(UNITS), x)[0]).inference.profile({x: inputs()}, seconds=SECONDS)


def both_ways() -> Any:
    x = rg.placeholder("x", (None, None, INPUTS))
    halves, _ = rg.bidirectional_dynamic_rnn(rg.BasicLSTMCell(UNITS), rg.BasicLSTMCell(UNITS), x)
    return rg.compile(rg.concat(list(halves))).inference.profile({x: inputs()}, seconds=SECONDS)


def attention() -> Any:
    x, memory = rg.placeholder("x", (None, None, INPUTS)), rg.placeholder("memory", (None, 64, UNITS))
    cell = rg.AttentionWrapper(rg.GRUCell(UNITS), rg.LuongAttention(UNITS, memory))
    feeds = {x: inputs(), memory: inputs(width=UNITS)[:, :64]}
    return rg.compile(rg.dynamic_rnn(cell, x)[0]).inference.profile(feeds, seconds=SECONDS)


def step() -> Any:
    """Return a trainer's step: gradients, clipping, Adam."""
    x, y = rg.placeholder("x", (None, None, INPUTS)), rg.placeholder("y", (None,), "int64")
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.GRUCell(UNITS), rg.BasicLSTMCell(UNITS)]), x)
    logits = rg.dense(outputs[:, -1], 10)
    program = rg.compile(logits, loss=rg.sparse_softmax_cross_entropy(y, logits))
    return rg.Trainer(program, clip_norm=1.0).profile({x: inputs(), y: np.arange(BATCH)}, seconds=SECONDS)


def small() -> Any:
    """Return a net of few units with one row, whose steps take about 70 ns."""
    x = rg.placeholder("x", (None, None, 16))
    return rg.compile(rg.dynamic_rnn(rg.GRUCell(16), x)[0]).inference.profile({x: inputs(1, 16)}, seconds=SECONDS)


NETS: dict[str, Callable[[], Any]] = {
    "RNN, GRU and LSTM, stacked": stack,
    "a cell of the user's": own_cell,
    "LSTM in both directions": both_ways,
    "attention": attention,
    "a trainer's step": step,
    "GRU of 16 units, one row": small,
}
