"""Group that compares scans that share a loop body with scans that run in turn, for layers of few units and one row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import ours
from timing import Times, measure, median, ratio, spread
from workloads import Call, Row

from rnngraph.codegen.cost_model import interleaving

from .basis import OWN, Options, Record, factor

ALONE, LAYER = "one after the other", "one layer"
STEPS = 2000


@contextmanager
def _alone() -> Iterator[None]:
    """Within the block, compile every scan as a separate loop."""
    pays, interleaving.PAYS = interleaving.PAYS, math.inf
    yield
    interleaving.PAYS = pays


def _call(row: Row, kind: str) -> Call:
    compiled, feeds = ours.loaded(row, with_loss=kind == "training", cache=False)
    call: Call = {
        "training": lambda: compiled.training.gradients(**feeds),
        "inference": lambda: compiled.inference(feeds),
    }[kind]
    call()
    return call


def few_units(options: Options) -> Iterator[Record]:
    for kind in ("inference", "training"):
        for cell in ("RNN", "GRU before", "LSTM"):
            for units in (8, 16):
                for layers, bidirectional in ((3, False), (1, True)):
                    row = Row(cell, 1, STEPS, units, units, layers, bidirectional=bidirectional)
                    name = f"{kind}: {row.name}"
                    if not options.wants(name):
                        continue
                    with _alone():
                        calls = {ALONE: _call(row, kind), LAYER: _call(Row(cell, 1, STEPS, units, units), kind)}
                    yield {"row": name, "times": measure({OWN: _call(row, kind), **calls}, None, options.rounds)}


def few_units_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {f"{name} ns a step": f"{median(times, name) / STEPS * 1e9:.1f}" for name in (LAYER, ALONE, OWN)}
    return {**cells, "spread": f"{spread(times, OWN):.0%}", "faster": factor(ratio(times, ALONE, OWN))}
