"""Groups that compare rnngraph with its peers, most of them also with the floor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import calls
import ours
from agreement import agreeing
from floors import FLOOR, PRODUCTS, forward_seconds, training_seconds
from timing import Times, fastest, measure, median, ratio, settled, spread
from workloads import CELLS, DRIVEN, INFERENCE, LENGTHS, ONE_STEP, TRAINING, Call, Row, sweep

from .basis import NATIVE, OWN, Options, Record, factor, microseconds, milliseconds

PAUSE = 0.05
"""Seconds after which the threads of all peers are asleep, so that they do not slow the next contender."""


def beside(row: Row, options: Options, own: Call, kind: str) -> dict[str, Call]:
    """Return rnngraph's call ``own``, and the fastest variant of each peer whose results agree, by name."""
    modules = {OWN: ours, **options.peers}
    variants = {name: getattr(peer, kind)(row) for name, peer in options.peers.items()}
    if options.with_torch_compile and "torch" in options.peers and kind != "one_step":
        variants["torch.compile"] = options.peers["torch"].compiled(row, kind)
        modules["torch.compile"] = options.peers["torch"]
    contenders = agreeing(row, kind, own, variants, modules)
    return {OWN: own} | {name: fastest(*calls) for name, calls in contenders.items()}


# One thread, and the floor -------------------------------------------------------------------------


def inference(options: Options) -> Iterator[Record]:
    for row in INFERENCE:
        if options.wants(row.name):
            yield {
                "row": row.name,
                "times": _inference_times(row, options, "one_step" if row.time == 1 else "inference"),
            }


def cells(options: Options) -> Iterator[Record]:
    for row in CELLS:
        if options.wants(row.name):
            yield {"row": row.name, "times": _inference_times(row, options)}


def training(options: Options) -> Iterator[Record]:
    for row in TRAINING:
        if options.wants(row.name):
            contenders = beside(row, options, fastest(*ours.training(row)), "training")
            yield {"row": row.name, "times": measure(contenders, partial(training_seconds, row), options.rounds)}


def over_sizes(options: Options) -> Iterator[Record]:
    for point in sweep():
        if options.wants(point.name):
            place = {"cell": point.row.cell, "axis": point.axis, "value": point.value}
            yield {"row": point.name, **place, "times": _inference_times(point.row, options)}


def _inference_times(row: Row, options: Options, kind: str = "inference") -> Times:
    own = fastest(*getattr(ours, kind)(row))
    contenders = beside(row, options, own, kind)
    return measure(contenders, partial(forward_seconds, row), options.rounds)


def time_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {
        "rnngraph ms": milliseconds(median(times, OWN)),
        "spread": f"{spread(times, OWN):.0%}",
        "floor ms": milliseconds(median(times, FLOOR)),
        "of floor": f"{ratio(times, OWN, FLOOR):.2f}",
        "of its products": f"{ratio(times, OWN, PRODUCTS):.2f}",
    }
    for name in times:
        if name not in (OWN, FLOOR, PRODUCTS):
            cells[name] = f"{milliseconds(median(times, name))} ({factor(ratio(times, name, OWN))})"
    return cells


# One step of a stream -----------------------------------------------------------------------------


def one_step(options: Options) -> Iterator[Record]:
    for row in ONE_STEP:
        if options.wants(row.name):
            (own,) = ours.one_step(row)
            contenders = beside(row, options, own, "one_step") | {NATIVE: calls.native_step(row)}
            yield {"row": row.name, "times": measure(contenders, partial(forward_seconds, row), options.rounds)}


def one_step_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {
        "rnngraph µs": microseconds(median(times, OWN)),
        "spread": f"{spread(times, OWN):.0%}",
        "native µs": microseconds(median(times, NATIVE)),
        "floor µs": microseconds(median(times, FLOOR)),
        "native of floor": f"{ratio(times, NATIVE, FLOOR):.2f}",
    }
    for name in times:
        if name not in (OWN, NATIVE, FLOOR, PRODUCTS):
            cells[name] = f"{microseconds(median(times, name))} ({factor(ratio(times, name, OWN))})"
    return cells


# Rows that end early ------------------------------------------------------------------------------

ENDED = "mean 50 %"
"""Lengths with which peers are timed, out of those of ``ours.ended``."""


def lengths(options: Options) -> Iterator[Record]:
    for row in LENGTHS:
        for kind in ("inference", "training"):
            if options.wants(row.name):
                own = ours.ended(row, kind)
                contenders = beside(replace(row, ended=True), options, own[ENDED], kind)
                del contenders[OWN]
                yield {"row": f"{kind}: {row.name}", "times": measure(own | contenders, None, options.rounds)}


def lengths_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {"without lengths ms": milliseconds(median(times, OWN))}
    for name in times:
        if name.startswith(("all", "mean")):
            cells[name] = f"{ratio(times, name, OWN):.2f}"
    cells[f"{ENDED}, ms"] = milliseconds(median(times, ENDED))
    for name in times:
        if name != OWN and name not in cells:
            cells[name] = f"{milliseconds(median(times, name))} ({factor(ratio(times, name, ENDED))})"
    return cells


# Several threads -----------------------------------------------------------------------------------

ONE = "one thread"
SHARED = (*INFERENCE, *(row for row in CELLS if row.cell in DRIVEN))


def threads(options: Options) -> Iterator[Record]:
    for kind, rows in {"inference": SHARED, "training": TRAINING}.items():
        for row in rows:
            if row.time > 1 and options.wants(row.name):
                variants = getattr(ours, kind)
                own = settled(fastest(*variants(row, options.threads)))  # before the peers start their threads
                contenders = beside(row, options, own, kind) | {ONE: fastest(*variants(row))}
                yield {"row": f"{kind}: {row.name}", "times": measure(contenders, None, options.rounds, PAUSE)}


def threads_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {
        "rnngraph ms": milliseconds(median(times, OWN)),
        "spread": f"{spread(times, OWN):.0%}",
        "one thread ms": milliseconds(median(times, ONE)),
        "gain": factor(ratio(times, ONE, OWN)),
    }
    for name in times:
        if name not in (OWN, ONE):
            cells[name] = f"{milliseconds(median(times, name))} ({factor(ratio(times, name, OWN))})"
    return cells
