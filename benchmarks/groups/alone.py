"""Groups that measure rnngraph without peers: narrow weights, calls from Python, a trainer's step, and memory."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import calls
import ours
import weights
from timing import Times, fastest, measure, median, ratio, spread
from workloads import NARROW, STEP, TRAINING

from .basis import NATIVE, OWN, Options, Record, factor, milliseconds

# Narrow weights ------------------------------------------------------------------------------------

FORMS = {
    OWN: {},
    "bfloat16": {"weights": "bfloat16"},
    "bfloat16, activations too": {"weights": "bfloat16", "activations": "bfloat16"},
    "int8": {"weights": "int8"},
    "int8, activations too": {"weights": "int8", "activations": "int8"},
}


def reduced(options: Options) -> Iterator[Record]:
    for row in NARROW:
        if options.wants(row.name):
            forms = {name: ours.narrow(row, **form) for name, form in FORMS.items()}
            exact = forms[OWN][1]
            yield {
                "row": row.name,
                "figures": {name: float(abs(values - exact).max()) for name, (_, values) in forms.items()},
                "times": measure({name: call for name, (call, _) in forms.items()}, None, options.rounds),
            }


def reduced_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {"float32 ms": milliseconds(median(times, OWN)), "spread": f"{spread(times, OWN):.0%}"}
    for name in FORMS:
        if name != OWN:
            cells[name] = f"{milliseconds(median(times, name))} ({factor(ratio(times, OWN, name))})"
            cells[f"{name}: largest error"] = f"{record['figures'][name]:.1e}"
    return cells


# Overhead of Python ---------------------------------------------------------------------------------


def from_python(options: Options) -> Iterator[Record]:
    for name, call, native in calls.rows():
        if options.wants(name):
            yield {"row": name, "times": measure({OWN: call, NATIVE: native}, None, options.rounds)}


def calls_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    over = statistics.median(whole - part for whole, part in zip(times[OWN], times[NATIVE], strict=True))
    return {
        "call µs": f"{median(times, OWN) * 1e6:.2f}",
        "spread": f"{spread(times, OWN):.0%}",
        "native µs": f"{median(times, NATIVE) * 1e6:.2f}",
        "over it µs": f"{over * 1e6:.2f}",
    }


# A trainer's step ----------------------------------------------------------------------------------


def step(options: Options) -> Iterator[Record]:
    for row in STEP:
        if not options.wants(row.name):
            continue
        calls = {
            "gradients": fastest(*ours.training(row)),
            "after a change": ours.training_after_change(row),
            "step": ours.train_step(row),
        }
        if "torch" in options.peers:
            calls["torch"] = options.peers["torch"].train_step(row)
        yield {"row": row.name, "parameters": weights.count(row), "times": measure(calls, None, options.rounds)}


def step_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {
        "parameters": f"{record['parameters']:,}",
        "gradients ms": milliseconds(median(times, "gradients")),
        "after a change": f"{milliseconds(median(times, 'after a change'))}"
        f" ({factor(ratio(times, 'after a change', 'gradients'))})",
        "step ms": milliseconds(median(times, "step")),
        "spread": f"{spread(times, 'step'):.0%}",
        "over gradients": f"{ratio(times, 'step', 'gradients'):.3f}",
        "over gradients after a change": f"{ratio(times, 'step', 'after a change'):.3f}",
    }
    if "torch" in times:
        cells["torch"] = f"{milliseconds(median(times, 'torch'))} ({factor(ratio(times, 'torch', 'step'))})"
    return cells


# Memory ------------------------------------------------------------------------------------------


def memory(options: Options) -> Iterator[Record]:
    for row in TRAINING:
        if not options.wants(row.name):
            continue
        program, figures = ours.program(row, with_loss=True), {}
        for time in (100, 1000):
            training, inference = (graph.memory(row.batch, time) for graph in (program.training, program.inference))
            outputs = row.batch * time * row.units * row.layers * row.directions
            figures[f"arena {time}"], figures[f"residuals {time}"] = training.arena, training.residuals
            figures[f"kept {time}"] = training.residuals / 4 / outputs
            figures[f"inference {time}"] = inference.arena
        yield {"row": row.name.replace(f" T{row.time}", ""), "figures": figures}


def memory_cells(record: Record) -> dict[str, str]:
    figures, cells = record["figures"], {}
    for time in (100, 1000):
        arena, residuals = figures[f"arena {time}"], figures[f"residuals {time}"]
        cells[f"T{time}: residuals KiB"] = f"{residuals / 1024:,.0f}"
        cells[f"T{time}: arena KiB"] = f"{arena / 1024:,.0f}"
        cells[f"T{time}: arena / residuals"] = f"{arena / residuals:.2f}" if residuals else ""
    cells["floats kept a unit and step"] = f"{figures['kept 1000']:.2f}"
    cells["inference arena KiB, T100 / T1000"] = " / ".join(
        f"{figures[f'inference {t}'] / 1024:,.0f}" for t in (100, 1000)
    )
    return cells
