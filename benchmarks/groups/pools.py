"""Group that compares a pool's step of some of its streams with a step of one stream with as many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from timing import Times, measure, median, ratio, spread

import rnngraph as rg

from .basis import Options, Record, factor, microseconds

STREAMS = 1024
STEPPING = (1, 8, 64, 256)


def _lstm() -> tuple[rg.Program, int, int]:
    x = rg.placeholder("x", (None, None, 40))
    return rg.compile(rg.dense(rg.dynamic_rnn(rg.LSTMCell(128), x)[0], 1)), 1, 40


def _gru() -> tuple[rg.Program, int, int]:
    x = rg.placeholder("x", (None, None, 8))
    return rg.compile(rg.dense(rg.dynamic_rnn(rg.GRUCell(16), x)[0], 1)), 1, 8


def _voice() -> tuple[rg.Program, int, int]:
    """Return a net of a voice detector's size: four convolutions before an LSTM, and four spectra for each step."""
    x = rg.placeholder("x", (None, None, 129))
    value = x
    for filters, strides in ((128, 1), (64, 2), (64, 2), (128, 1)):
        value = rg.relu(rg.conv1d(value, filters, 3, padding="causal", strides=strides))
    return rg.compile(rg.sigmoid(rg.dense(rg.dynamic_rnn(rg.LSTMCell(128), value)[0], 1))), 4, 129


NETS: dict[str, Callable[[], tuple[rg.Program, int, int]]] = {
    "GRU I8 H16": _gru,
    "LSTM I40 H128": _lstm,
    "voice": _voice,
}


def pools(options: Options) -> Iterator[Record]:
    for name, make in NETS.items():
        for count in STEPPING:
            if options.wants(f"{name} {count}"):
                yield {"row": f"{name}, {count} of {STREAMS}", "times": _times(*make(), count, options.rounds)}


def _times(program: rg.Program, rate: int, width: int, count: int, rounds: int) -> Times:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(STREAMS, width) if rate == 1 else (STREAMS, rate, width)).astype(np.float32)
    pool, stream = program.inference.streams(STREAMS), program.inference.stream(batch=count)
    batch = program.inference.stream(batch=STREAMS)
    handles = [pool.open() for _ in range(STREAMS)]
    chosen = draw.permutation(STREAMS)[:count]
    some, fed = [handles[row] for row in chosen], x[chosen]
    one_by_one = {handle: {"x": row} for handle, row in zip(some, fed, strict=True)}
    batch.step(x=x)
    calls: dict[str, Callable[[], Any]] = {
        "stream": lambda: stream.step(x=fed),
        "step_rows": lambda: pool.step_rows(some, x=fed),
        "step": lambda: pool.step(one_by_one),
        "rows of a stream": lambda: batch.step(x=x, rows=chosen),
    }
    return measure(calls, None, rounds)


def pools_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    others = ("step_rows", "step", "rows of a stream")
    return {
        "stream of so many rows, µs": microseconds(median(times, "stream")),
        "spread": f"{spread(times, 'stream'):.0%}",
        **{
            f"{name}, µs": f"{microseconds(median(times, name))} ({factor(ratio(times, name, 'stream'))})"
            for name in others
        },
    }
