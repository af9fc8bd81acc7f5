"""The groups of workloads: what each measures, and the cells of its table."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import calls
import ours
from floors import forward_seconds, training_seconds
from timing import Times, measure, median, ratio, settled, spread
from workloads import CELLS, COMPILE, INFERENCE, LENGTHS, NARROW, STEP, TRAINING, Call, Row, sweep

Record = dict[str, Any]
"""``row``: its name, and ``times`` by contender or ``figures`` by name."""

OWN = "rnngraph"
PAUSE = 0.05
"""Seconds after which the threads of all peers sleep."""


@dataclass(frozen=True)
class Options:
    """What a run was asked for, and the peers that it found."""

    words: Sequence[str]
    rounds: int
    peers: dict[str, ModuleType]
    with_torch_compile: bool
    threads: int = 1

    def wants(self, name: str) -> bool:
        return not self.words or any(word in name for word in self.words)


@dataclass(frozen=True)
class Group:
    """Workloads of one kind. cells: of one record, by column, in order; a peer's column begins with its name."""

    name: str
    title: str
    records: Callable[[Options], Iterator[Record]]
    cells: Callable[[Record], dict[str, str]]


# Several threads -----------------------------------------------------------------------------------

ONE = "one thread"


def _threads(options: Options) -> Iterator[Record]:
    kinds = {"inference": (INFERENCE, ours.inference), "training": (TRAINING, ours.training)}
    for kind, (rows, call) in kinds.items():
        for row in rows:
            if row.time > 1 and options.wants(row.name):
                own = settled(call(row, options.threads))  # before the peers' threads are there
                calls = _beside(row, options, own, kind) | {ONE: call(row)}
                yield {"row": f"{kind}: {row.name}", "times": measure(calls, None, options.rounds, PAUSE)}


def _threads_cells(record: Record) -> dict[str, str]:
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


# Rows that end early ------------------------------------------------------------------------------


def _lengths(options: Options) -> Iterator[Record]:
    for row in LENGTHS:
        for kind in ("inference", "training"):
            if options.wants(row.name):
                yield {"row": f"{kind}: {row.name}", "times": measure(ours.ended(row, kind), None, options.rounds)}


def _lengths_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {"without lengths ms": milliseconds(median(times, OWN))}
    cells |= {name: f"{ratio(times, name, OWN):.2f}" for name in times if name != OWN}
    return cells


# What is timed beside peers and the floor ----------------------------------------------------------


def _inference(options: Options) -> Iterator[Record]:
    for row in INFERENCE:
        if options.wants(row.name):
            own = ours.stream_step(row) if row.time == 1 else ours.inference(row)
            yield {"row": row.name, "times": _inference_times(row, options, own)}


def _inference_times(row: Row, options: Options, own: Call) -> Times:
    calls = _beside(row, options, own, "inference")
    return measure(calls, partial(forward_seconds, row), options.rounds)


def _cells(options: Options) -> Iterator[Record]:
    for row in CELLS:
        if options.wants(row.name):
            times = measure({OWN: ours.inference(row)}, partial(forward_seconds, row), options.rounds)
            yield {"row": row.name, "times": times}


def _training(options: Options) -> Iterator[Record]:
    for row in TRAINING:
        if options.wants(row.name):
            calls = _beside(row, options, ours.training(row), "training")
            times = measure(calls, partial(training_seconds, row), options.rounds)
            yield {"row": row.name, "times": times}


def _beside(row: Row, options: Options, own: Call, kind: str) -> dict[str, Call]:
    calls = {OWN: own}
    for name, peer in options.peers.items():
        call = getattr(peer, kind)(row)
        if call is not None:
            calls[name] = call
    if options.with_torch_compile and row.cell == "own peephole" and "torch" in options.peers:
        calls["torch.compile"] = getattr(options.peers["torch"], f"compiled_{kind}")(row)
    return calls


def _sweep(options: Options) -> Iterator[Record]:
    for point in sweep():
        if options.wants(point.name):
            place = {"cell": point.row.cell, "axis": point.axis, "value": point.value}
            yield {"row": point.name, **place, "times": _inference_times(point.row, options, ours.inference(point.row))}


def _time_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {
        "rnngraph ms": milliseconds(median(times, OWN)),
        "spread": f"{spread(times, OWN):.0%}",
        "floor ms": milliseconds(median(times, "floor")),
        "of floor": f"{ratio(times, OWN, 'floor'):.2f}",
    }
    for name in times:
        if name not in (OWN, "floor"):
            cells[name] = f"{milliseconds(median(times, name))} ({factor(ratio(times, name, OWN))})"
    return cells


# Narrow weights ------------------------------------------------------------------------------------

FORMS = {
    OWN: {},
    "bfloat16": {"weights": "bfloat16"},
    "bfloat16, activations too": {"weights": "bfloat16", "activations": "bfloat16"},
    "int8": {"weights": "int8"},
}


def _reduced(options: Options) -> Iterator[Record]:
    for row in NARROW:
        if options.wants(row.name):
            found = {name: ours.narrow(row, **form) for name, form in FORMS.items()}
            exact = found[OWN][1]
            yield {
                "row": row.name,
                "figures": {name: float(abs(values - exact).max()) for name, (_, values) in found.items()},
                "times": measure({name: call for name, (call, _) in found.items()}, None, options.rounds),
            }


def _reduced_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    cells = {"float32 ms": milliseconds(median(times, OWN)), "spread": f"{spread(times, OWN):.0%}"}
    for name in FORMS:
        if name != OWN:
            cells[name] = f"{milliseconds(median(times, name))} ({factor(ratio(times, OWN, name))})"
            cells[f"{name}: largest error"] = f"{record['figures'][name]:.1e}"
    return cells


# What Python adds -----------------------------------------------------------------------------------

NATIVE = "native"


def _calls(options: Options) -> Iterator[Record]:
    for name, call, native in calls.rows():
        if options.wants(name):
            yield {"row": name, "times": measure({OWN: call, NATIVE: native}, None, options.rounds)}


def _calls_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    over = statistics.median(whole - part for whole, part in zip(times[OWN], times[NATIVE], strict=True))
    return {
        "call µs": f"{median(times, OWN) * 1e6:.2f}",
        "spread": f"{spread(times, OWN):.0%}",
        "native µs": f"{median(times, NATIVE) * 1e6:.2f}",
        "over it µs": f"{over * 1e6:.2f}",
    }


# A trainer's step ----------------------------------------------------------------------------------


def _step(options: Options) -> Iterator[Record]:
    for row in STEP:
        if not options.wants(row.name):
            continue
        calls = {
            "gradients": ours.training(row),
            "after a change": ours.training_after_change(row),
            "step": ours.train_step(row),
        }
        if "torch" in options.peers:
            calls["torch"] = options.peers["torch"].train_step(row)
        yield {"row": row.name, "parameters": row.parameters(), "times": measure(calls, None, options.rounds)}


def _step_cells(record: Record) -> dict[str, str]:
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


def _memory(options: Options) -> Iterator[Record]:
    for row in TRAINING:
        if not options.wants(row.name):
            continue
        program, figures = ours.program(row, with_loss=True), {}
        for time in (100, 1000):
            training, inference = (graph.memory(row.batch, time) for graph in (program.training, program.inference))
            outputs = row.batch * time * row.units * row.layers
            figures[f"arena {time}"], figures[f"residuals {time}"] = training.arena, training.residuals
            figures[f"kept {time}"] = training.residuals / 4 / outputs
            figures[f"inference {time}"] = inference.arena
        yield {"row": row.name.replace(f" T{row.time}", ""), "figures": figures}


def _memory_cells(record: Record) -> dict[str, str]:
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


# Compiling, in processes of their own ----------------------------------------------------------------


def _compile(options: Options) -> Iterator[Record]:
    contenders = [OWN, *(["jax"] if "jax" in options.peers else [])]
    with tempfile.TemporaryDirectory() as bytecode:
        for name in contenders:
            _first_calls(name, COMPILE[0], bytecode)  # leaves it
        for row in filter(lambda row: options.wants(row.name), COMPILE):
            yield _compile_row(row, contenders, options.rounds, bytecode)


def _compile_row(row: Row, contenders: Sequence[str], rounds: int, bytecode: str) -> Record:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in contenders:
            found[name].append(_first_calls(name, row, bytecode))
    figures = {
        f"{name} {key}": statistics.median(one[key] for one in ones) for name, ones in found.items() for key in ones[0]
    }
    totals = [one["inference"] + one["gradients"] for one in found[OWN]]
    figures["spread"] = (max(totals) - min(totals)) / statistics.median(totals)
    return {"row": row.name, "figures": figures}


def _first_calls(contender: str, row: Row, bytecode: str) -> dict[str, float]:
    """Seconds in a process that finds nothing of an earlier one on disk; ours again in one that finds what it left.

    bytecode: where Python keeps its own, which it finds for all that is installed, whatever the environment says.
    """
    with tempfile.TemporaryDirectory() as empty:
        places = {**os.environ, "HOME": empty, "XDG_CACHE_HOME": empty, "PYTHONPYCACHEPREFIX": bytecode}
        places.pop("PYTHONDONTWRITEBYTECODE", None)
        script = str(Path(__file__).with_name("cold.py"))

        def child() -> dict[str, float]:
            command = [sys.executable, script, contender, json.dumps(vars(row))]
            run = subprocess.run(command, env=places, check=True, capture_output=True, text=True)
            return json.loads(run.stdout.splitlines()[-1])

        found = child()
        if contender == OWN:
            again = child()
            found["again"] = again["inference"] + again["gradients"]
    return found


def _compile_cells(record: Record) -> dict[str, str]:
    figures = record["figures"]
    cells = {
        "import, over NumPy's": f"{figures[f'{OWN} import']:.3f}",
        "first inference": f"{figures[f'{OWN} inference']:.3f}",
        "first gradients": f"{figures[f'{OWN} gradients']:.3f}",
        "both": f"{figures[f'{OWN} inference'] + figures[f'{OWN} gradients']:.3f}",
        "spread": f"{figures['spread']:.0%}",
        "both, from disk": f"{figures[f'{OWN} again']:.3f}",
    }
    if "jax inference" in figures:
        both = figures["jax inference"] + figures["jax gradients"]
        cells["jax: import, both"] = f"{figures['jax import']:.2f}, {both:.2f}"
    return cells


def milliseconds(seconds: float) -> str:
    """With four digits that count, none of them below a microsecond's tenth."""
    value = seconds * 1e3
    return f"{value:.{3 if value < 10 else 2 if value < 100 else 1}f}" if value >= 0.1 else f"{value:.4f}"


def factor(value: float) -> str:
    return f"{value:.2f}×" if value < 10 else f"{value:.1f}×"


GROUPS = (
    Group("inference", "Inference", _inference, _time_cells),
    Group("cells", "Inference of the further cells", _cells, _time_cells),
    Group("reduced", "Inference with narrow weights, how many times as fast as with float32", _reduced, _reduced_cells),
    Group("training", "Training: the loss and all gradients", _training, _time_cells),
    Group("threads", "Two threads (or as --threads says), peers too", _threads, _threads_cells),
    Group("lengths", "Rows that end early, times of a call without lengths", _lengths, _lengths_cells),
    Group("step", "A trainer's step: gradients, clipping by their norm, Adam", _step, _step_cells),
    Group("calls", "Calls from Python, and the native calls that they make", _calls, _calls_cells),
    Group("memory", "Memory of a training call, as it says itself", _memory, _memory_cells),
    Group("compile", "Compiling in a fresh process, seconds", _compile, _compile_cells),
    Group("sweep", "Inference over sizes", _sweep, _time_cells),
)
