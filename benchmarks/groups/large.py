"""Group that measures a language model of 12 RWKV-7 layers of 768 units: single tokens, and prompts of 64 tokens.

It has 190 million weights. Figures are processor seconds for each token, which other processes do not affect. With
``--peers llama.cpp``, one row for each type of GGUF weights compares the same file in llama.cpp.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import peers
from large import gguf_net, weights
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
MIN_CORRELATION = 0.98
"""Minimum correlation of the logits of rnngraph and llama.cpp after a prompt. With 8-bit activations, it is 0.99."""


def large(options: Options) -> Iterator[Record]:
    yield from _in_our_kinds(options)
    if peers.LLAMA_CPP in options.peers:
        for kind in gguf_net.KINDS:
            if any(options.wants(f"{call}: GGUF {kind}") for call in ("decode", "prompt")):
                yield from _beside_llama_cpp(options, options.peers[peers.LLAMA_CPP], kind)


def _in_our_kinds(options: Options) -> Iterator[Record]:
    net, shared = language_model(LAYERS, WIDTH, CLASSES), None
    for kind, words in KINDS.items():
        if not any(options.wants(f"{call}: {kind}") for call in ("decode", "prompt")):
            continue
        start = time.process_time()
        program = rg.compile(net, parameters=shared, cache=False, **words)  # type: ignore[arg-type]
        shared = shared or program
        stream = program.inference.stream()
        stream.step(ids=np.zeros(1, np.int64))
        seconds = time.process_time() - start
        for call, contenders in (("decode", _decode(stream, program, kind)), ("prompt", {OWN: _prompt(program)})):
            name = f"{call}: {kind}"
            if options.wants(name):
                times = measure(contenders, None, options.rounds, clock=time.process_time)
                yield {"row": name, "figures": {"compile": seconds}, "times": times}


def _beside_llama_cpp(options: Options, llama_cpp: ModuleType, kind: str) -> Iterator[Record]:
    """Yield the records of rnngraph and llama.cpp for one GGUF file with weights of type ``kind``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.gguf"
        gguf_net.write(path, kind, LAYERS, WIDTH, CLASSES)
        start = time.process_time()
        program = rg.read_gguf(path).program(cache=False)
        stream = program.inference.stream()
        stream.step(ids=np.zeros(1, np.int64))
        seconds = time.process_time() - start
        theirs = llama_cpp.Model(path, PROMPT)
        ids, token = np.arange(PROMPT), np.ones(1, np.int64)
        stream.reset()
        _check_like(stream.process(ids=ids[np.newaxis])["logits"][0, -1], theirs.call(ids, True)(), kind)
        contenders = {
            "decode": {OWN: lambda: stream.step(ids=token), peers.LLAMA_CPP: theirs.call(token, False)},
            "prompt": {OWN: _prompt(program), peers.LLAMA_CPP: theirs.call(ids, True)},
        }
        for call, calls in contenders.items():
            if options.wants(name := f"{call}: GGUF {kind}"):
                times = measure(calls, None, options.rounds, clock=time.process_time)
                yield {"row": name, "figures": {"compile": seconds}, "times": times}


def _check_like(own: np.ndarray, theirs: np.ndarray, kind: str) -> None:
    """Warn if the logits of rnngraph and llama.cpp differ by more than rounding explains."""
    correlation = np.corrcoef(own, theirs)[0, 1]
    if not correlation > MIN_CORRELATION:
        warnings.warn(
            f"GGUF {kind}: llama.cpp's logits have a correlation of {correlation:.3f} with ours", stacklevel=2
        )


def _decode(stream: rg.Stream, program: rg.Program, kind: str) -> dict[str, Call]:
    """Return two calls by name: a step of a stream, and C code that multiplies by as many weights."""
    token = np.ones(1, np.int64)
    variants: dict[str, Call] = {OWN: lambda: stream.step(ids=token)}
    if weights.has(kind):
        read = sum(array.size for name, array in program.parameters.items() if array.ndim == 2 and name != "table")
        variants[IN_C] = weights.product(kind, read, WIDTH)
    return variants


def _prompt(program: rg.Program) -> Call:
    """Return a call that reads a prompt and chooses one token, so that only the last token's logits are computed."""
    ids = np.arange(PROMPT)
    return lambda: np.array(next(program.inference.generate(ids, max_new=1)))


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
        peers.LLAMA_CPP: f"{milliseconds(median(times, peers.LLAMA_CPP) / tokens)} ms a token "
        f"({factor(ratio(times, peers.LLAMA_CPP, OWN))})"
        if peers.LLAMA_CPP in times
        else "",
        "compile s": f"{record['figures']['compile']:.1f}",
    }
