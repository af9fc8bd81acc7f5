"""Group that compares others' trained nets with their own engines: the ratios of times."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from models import FAMILIES, nets_of
from timing import measure, median, ratio, spread

from .basis import OWN, Options, Record, factor, microseconds

ENGINE = "engine"


def engines(options: Options) -> Iterator[Record]:
    for model in nets_of(FAMILIES, lambda reason: warnings.warn(f"left out: {reason}", stacklevel=3)):
        if model.steps_in_python:
            continue
        for what, (own, theirs) in model.timed.items():
            row = f"{model.name}: {what}"
            if options.wants(row):
                times = measure({OWN: own, ENGINE: theirs}, None, options.rounds)
                yield {"row": row, "engine": model.by, "times": times}


def engines_cells(record: Record) -> dict[str, str]:
    times = record["times"]
    return {
        "its engine": record["engine"],
        "rnngraph µs": microseconds(median(times, OWN)),
        "spread": f"{spread(times, OWN):.0%}",
        "engine µs": microseconds(median(times, ENGINE)),
        "times as long": factor(ratio(times, ENGINE, OWN)),
    }
