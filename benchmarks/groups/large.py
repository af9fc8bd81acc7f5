"""A language model of 12 RWKV-7 layers of 768 units, 190 million weights: a token at a time, and prompts of 64.

Figures are seconds of the processor for a token, which neighbours on its core do not lengthen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from large import weights
from large.net import language_model
from timing import Times, measure, median, ratio, spread
from workloads import Call

import rnngraph as rg

from .basis import OWN, Options, Record, factor, milliseconds

LAYERS, WIDTH, CLASSES = 12, 768, 65536
PROMPT = 64
KINDS = {
    "float32": {},
    "bfloat16": {"weights": "bfloat16"},
    "int8, activations too": {"weights": "int8", "activations": "int8"},
    "int8_blocks": {"weights": "int8_blocks"},
    "int4": {"weights": "int4"},
}
IN_C = "C"


def large(options: Options) -> Iterator[Record]:
    names = [f"{call}: {kind}" for kind in KINDS for call in ("decode", "prompt")]
    if not any(map(options.wants, names)):
        return
    net, shared = language_model(LAYERS, WIDTH, CLASSES), None
    for kind, words in KINDS.items():
        start = time.process_time()
        program = rg.compile(net, parameters=shared, cache=False, **words)  # type: ignore[arg-type]
        shared = shared or program
        stream = program.inference.stream()
        stream.step(ids=np.zeros(1, np.int64))
        seconds = time.process_time() - start
        for call, contenders in (("decode", _decode(stream, program, kind)), ("prompt", _prompt(stream))):
            name = f"{call}: {kind}"
            if options.wants(name):
                times = measure(contenders, None, options.rounds, clock=time.process_time)
                yield {"row": name, "figures": {"compile": seconds}, "times": times}


def _decode(stream: rg.Stream, program: rg.Program, kind: str) -> dict[str, Call]:
    """Return a step of a stream, and C that reads as many weights."""
    token = np.ones(1, np.int64)
    ways: dict[str, Call] = {OWN: lambda: stream.step(ids=token)}
    if weights.has(kind):
        read = sum(array.size for name, array in program.parameters.items() if array.ndim == 2 and name != "table")
        ways[IN_C] = weights.product(kind, read, WIDTH)
    return ways


def _prompt(stream: rg.Stream) -> dict[str, Call]:
    ids = np.arange(PROMPT)[np.newaxis]
    return {OWN: lambda: stream.process(ids=ids)}


def large_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    tokens = PROMPT if record["row"].startswith("prompt") else 1
    own = median(times, OWN) / tokens
    return {
        f"{OWN}: ms a token": milliseconds(own),
        "spread": f"{spread(times, OWN):.0%}",
        "tokens a second": f"{1 / own:,.0f}",
        "C that reads the weights": f"{milliseconds(median(times, IN_C))} ms ({factor(ratio(times, IN_C, OWN))})"
        if IN_C in times
        else "",
        "compile s": f"{record['figures']['compile']:.1f}",
    }
