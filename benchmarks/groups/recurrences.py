"""Group that compares recurrences with fused C, onnxruntime's LinearAttention and torch in chunks.

If torch is installed, its loops over steps, as ``rg.read_torch`` reads them, are compared with the same cells declared
in rnngraph. States are matrices or diagonal. Figures are processor seconds, which other processes do not affect.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Sequence
from functools import partial

from recurrences import checks, floor, fused, linear_attention, own
from recurrences.rows import INFERENCE, STEP, TRAINING, Row, rows
from timing import Times, fastest, measure, median, ratio, spread
from workloads import Call

from .basis import OWN, Options, Record, factor, microseconds, milliseconds

FUSED, CHUNKS = "fused C", "chunked=64"
RUNTIME, TORCH = "onnxruntime", "torch"
READ = "loop read from torch"


def recurrences(options: Options) -> Iterator[Record]:
    for row in rows(options.words):
        if options.wants(row.name):
            variants, figures = contenders(row, options.peers)
            calls = {name: fastest(*several) for name, several in checks.agreeing(row, variants).items()}
            if OWN in calls:
                times = measure(calls, partial(floor.seconds, row), options.rounds, clock=time.process_time)
                yield {"row": row.name, "figures": figures, "times": times}


def contenders(row: Row, installed: Container[str]) -> tuple[dict[str, Sequence[Call]], dict[str, float]]:
    """Return (variants of a call by contender, bytes of rnngraph's temporaries by variant for training).

    Args:
        row: The workload.
        installed: Names of the peers that can be imported.
    """
    if row.call == TRAINING:
        variants, figures = _training(row)
    else:
        variants, figures = {OWN: [getattr(own, row.call)(row)]}, {}
        if fused.has(row):
            variants[FUSED] = [getattr(fused, row.call)(row)]
    if row.call == INFERENCE and TORCH in installed:
        from recurrences import read_loops  # imports torch

        if read_loops.has(row):
            variants[READ] = [read_loops.inference(row)]
    return variants | of_peers(row, installed), figures


def of_peers(row: Row, installed: Container[str]) -> dict[str, Sequence[Call]]:
    """Return variants by peer: onnxruntime, except for training, and torch by chunks, except for single steps."""
    variants: dict[str, Sequence[Call]] = {}
    if row.call != TRAINING and RUNTIME in installed and linear_attention.has(row):
        variants[RUNTIME] = getattr(linear_attention, row.call)(row)
    if row.call != STEP and TORCH in installed:
        from recurrences import chunked  # imports torch

        if chunked.has(row):
            variants[TORCH] = getattr(chunked, row.call)(row)
    return variants


def _training(row: Row) -> tuple[dict[str, Sequence[Call]], dict[str, float]]:
    """Return (rnngraph's variants: step by step and, for matrix states, in chunks; bytes of their temporaries)."""
    call, program = own.training(row)
    variants: dict[str, Sequence[Call]] = {OWN: [call]}
    figures = {OWN: float(program.training.memory(row.batch, row.time, wrt=["x"]).arena)}
    if len(row.states()[0]) == 3:
        call, program = own.training(row, chunked=64)
        variants[CHUNKS], figures[CHUNKS] = [call], float(program.training.memory(row.batch, row.time, wrt=["x"]).arena)
    return variants, figures


def recurrences_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    text = microseconds if record["row"].startswith(STEP) else milliseconds
    unit = "µs" if text is microseconds else "ms"
    cells = {
        OWN: f"{text(median(times, OWN))} {unit}",
        "spread": f"{spread(times, OWN):.0%}",
        "of floor": f"{ratio(times, OWN, floor.FLOOR):.2f}",
        "of fused C": f"{ratio(times, OWN, FUSED):.2f}" if FUSED in times else "",
    }
    for name in times:
        if name not in (OWN, floor.FLOOR):
            cells[name] = f"{text(median(times, name))} {unit} ({factor(ratio(times, name, OWN))})"
    for name, size in record["figures"].items():
        cells["MB" if name == OWN else f"{name}: MB"] = f"{size / 1e6:,.1f}"
    return cells
