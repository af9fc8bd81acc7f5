"""``rnngraph bench``: time calls of both graphs on random arrays, and profile their layers."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ...ir.axes.by_size import time_sizes
from ...program.callable_graph import CallableGraph
from ...program.program import Program
from ...runtime.calls.random_feeds import random_feeds
from ...support.errors import RnnGraphError
from .command_error import CommandError
from .profile_net import print_layers
from .progress import progress

MIN_CALLS = 5
"""Minimum number of timed calls of a graph, even if they take longer than the time that was asked for."""


def bench_net(program: Program, script: str, batch: int, steps: int, seconds: float) -> None:
    """Time calls of a program's two graphs on random inputs. Print a table of the times, and one of layers for each.

    Args:
        program: The program.
        script: Its script or directory, for errors and the heading.
        batch: Rows of the calls.
        steps: Length of the sequences.
        seconds: Time to spend on the calls of each graph.
    """
    table = Table("graph", "compile", "call", "middle half", "calls", "steps a second")
    for column in table.columns[1:]:
        column.justify = "right"
    for graph in (program.inference, program.training):
        try:
            with progress(f"timing the {graph.kind} graph"):
                table.add_row(*_timed(graph, batch, steps, seconds))
        except RnnGraphError as error:  # caused by arrays of this command, so no line of the script is to blame
            raise CommandError(f"{script}: the {graph.kind} graph: {error.what}") from error
    target = f"{program.target.name} ({program.target.processor}), threads {program.threads}"
    console = Console(highlight=False, force_terminal=sys.stdout.isatty())
    console.print(f"{script}: batch {batch}, {steps} steps, {target}", markup=False, soft_wrap=True)
    console.print(table)
    for graph in (program.inference, program.training):
        print_layers(graph, random_feeds(graph.full_graph(), batch, steps), seconds)


def _timed(graph: CallableGraph, batch: int, steps: int, seconds: float) -> list[str]:
    """Time calls of a graph. Return a table row: name, compile time, median, quartiles, calls, steps a second."""
    feeds = random_feeds(graph.full_graph(), batch, steps)
    extra = {"seed": 0} if graph.kind == "training" else {}
    call: Any = graph
    began = time.perf_counter()
    call(feeds, **extra)
    first = time.perf_counter() - began
    call(feeds, **extra)
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while len(durations) < MIN_CALLS or time.perf_counter() < end:
        began = time.perf_counter()
        call(feeds, **extra)
        durations.append(time.perf_counter() - began)
    low, median, high = np.quantile(durations, (0.25, 0.5, 0.75)).tolist()
    return [
        graph.kind,
        f"{(first - median) * 1e3:.0f} ms",
        f"{median * 1e3:.3f} ms",
        f"{low * 1e3:.3f}–{high * 1e3:.3f}",
        str(len(durations)),
        f"{batch * (steps if time_sizes(graph.graph) else 1) / median:,.0f}",
    ]
