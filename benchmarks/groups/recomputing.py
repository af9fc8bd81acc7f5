"""Group that measures recomputation: gradients over long sequences, whose steps are stored or recomputed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

import rnngraph as rg

from .basis import Options, Record, factor

INPUTS, UNITS, CLASSES = 32, 256, 10
LENGTHS = (1_000, 10_000, 100_000)
FORMS: dict[str, int | None] = {"kept": None, "64 steps": 64, "256 steps": 256, "1024 steps": 1024}


def program() -> rg.Program:
    """Return an LSTM of one row with a loss at each step."""
    x, labels = rg.placeholder("x", (None, None, INPUTS)), rg.placeholder("labels", (None, None), "int64")
    logits = rg.dense(rg.dynamic_rnn(rg.LSTMCell(UNITS), x)[0], CLASSES)
    loss = rg.reduce_mean(rg.sparse_softmax_cross_entropy(labels=labels, logits=logits))
    return rg.compile({"logits": logits}, loss=loss, seed=0)


def recomputing(options: Options) -> Iterator[Record]:
    net, numbers = program(), np.random.default_rng(0)
    for length in LENGTHS:
        name = f"LSTM of {UNITS} units, {length:,} steps"
        if not options.wants(name):
            continue
        feeds = {
            "x": numbers.standard_normal((1, length, INPUTS), dtype=np.float32),
            "labels": numbers.integers(0, CLASSES, (1, length)),
        }
        seconds: dict[str, list[float]] = {form: [] for form in FORMS}
        for _ in range(options.rounds):
            for form, steps in FORMS.items():
                begin = time.perf_counter()
                net.training.gradients(feeds, recompute=steps)
                seconds[form].append(time.perf_counter() - begin)
        figures = {
            form: (min(times), net.training.memory(1, length, recompute=FORMS[form]).arena)
            for form, times in seconds.items()
        }
        yield {"row": name, "figures": figures}


def recomputing_cells(record: Record) -> dict[str, str]:
    figures = record["figures"]
    kept, cells = figures["kept"][0], dict[str, str]()
    for form, (seconds, arena) in figures.items():
        cells[f"{form}: s"] = f"{seconds:.3f}" + ("" if form == "kept" else f" ({factor(seconds / kept)})")
        cells[f"{form}: MB"] = f"{arena / 1e6:,.1f}"
    return cells
