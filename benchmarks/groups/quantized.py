"""Group that compares int8 weights and activations with onnxruntime's dynamic quantization: times and errors.

A net's error is the root mean square of the differences from the same weights in float32. dksplit's file is quantized:
its numbers are converted to float32, and the share of texts with the same splits is shown, too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import ours
from models import splitting
from models.fetch import NotFetchedError
from timing import Times, measure, median, ratio, spread
from workloads import QUANTIZED

from .basis import OWN, Options, Record, factor, milliseconds

SIXTEEN = "activations of 16 bits"
PEER = "onnxruntime"
FORMS = {OWN: {"weights": "int8", "activations": "int8"}, SIXTEEN: {"weights": "int8"}}
BATCHES = (1, 16)


def quantized(options: Options) -> Iterator[Record]:
    for row in QUANTIZED:
        if options.wants(row.name):
            _, exact = ours.narrow(row)
            forms = {name: ours.narrow(row, **form) for name, form in FORMS.items()}
            if PEER in options.peers:
                call = options.peers[PEER].quantized(row)
                forms[PEER] = call, options.peers[PEER].outputs(row, call()).swapaxes(0, 1)
            figures = {name: _error(_joined(values), _joined(exact)) for name, (_, values) in forms.items()}
            calls = {name: call for name, (call, _) in forms.items()}
            yield {"row": row.name, "figures": figures, "times": measure(calls, None, options.rounds)}
    if PEER in options.peers and options.wants("dksplit"):
        yield from _splitting(options)


def _splitting(options: Options) -> Iterator[Record]:
    try:
        engine = splitting.engine()
    except NotFetchedError as error:
        print(f"left out: {error}")
        return
    exact, *programs = (splitting.program(**form) for form in ({}, *FORMS.values()))
    runs = {name: program.inference for name, program in zip(FORMS, programs, strict=True)} | {PEER: engine}
    texts = splitting.texts()
    wanted = [exact.inference(chars=chars) for chars in texts]
    figures = {}
    for name, run in runs.items():
        outputs = [run(chars=chars) for chars in texts]
        figures[name] = _error(*(np.concatenate([item.ravel() for item in side]) for side in (outputs, wanted)))
        paths = [zip(splitting.paths(x), splitting.paths(y), strict=True) for x, y in zip(outputs, wanted, strict=True)]
        figures[f"{name}: alike"] = float(np.mean([(x == y).all() for pairs in paths for x, y in pairs]))
    for batch in BATCHES:
        chars = np.resize(texts[-1], (batch, texts[-1].shape[1]))
        calls = {name: lambda run=run, chars=chars: run(chars=chars) for name, run in runs.items()}
        times = measure(calls, None, options.rounds)
        yield {"row": f"dksplit B{batch} T{chars.shape[1]}", "figures": figures, "times": times}


def _joined(values: object) -> np.ndarray:
    """Return both directions, concatenated."""
    return np.concatenate(list(values.values()), -1) if isinstance(values, dict) else np.asarray(values)


def _error(values: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(np.subtract(values, exact, dtype=np.float64)))))


def quantized_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    figures = record["figures"]
    cells = {"rnngraph ms": milliseconds(median(times, OWN)), "spread": f"{spread(times, OWN):.0%}"}
    for name in (SIXTEEN, PEER):
        if name in times:
            cells[name] = f"{milliseconds(median(times, name))} ({factor(ratio(times, name, OWN))})"
    for name in times:
        cells[f"{name}: error"] = f"{figures[name]:.1e}"
        if f"{name}: alike" in figures:
            cells[f"{name}: error"] += f", {figures[f'{name}: alike']:.1%} alike"
    return cells
