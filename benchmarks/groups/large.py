"""Group that measures a language model of 12 RWKV-7 layers of 768 units: single tokens, and prompts of 64 tokens.

It has 190 million weights. Figures are processor seconds for each token, which other processes do not affect; those of
two threads are elapsed seconds. With ``--peers llama.cpp``, one row for each type of GGUF weights compares the same
file in llama.cpp. Beside single tokens is the time in which C code reads as many bytes, which is a lower bound.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import peers
from large import gguf_net, weights
from large.net import language_model
from timing import Times, measure, median, ratio, settled, spread
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
BYTES = {"float32": 4.0, "bfloat16": 2.0, "int8, activations too": 1.0, "int8_blocks": 34 / 32, "int4": 18 / 32}
"""Bytes of a packed weight."""
ON_TWO_THREADS = ("float32", "int4")
TABLES = ("table", "token_embd")
"""Prefixes of the tables of which a token reads a single row."""
IN_C, READING, ONE_THREAD = "C", "reading", "one thread"
MIN_CORRELATION = 0.98
"""Minimum correlation of the logits of rnngraph and llama.cpp after a prompt. With 8-bit activations, it is 0.99."""


def large(options: Options) -> Iterator[Record]:
    yield from _in_our_kinds(options)
    if peers.LLAMA_CPP in options.peers:
        for kind in gguf_net.KINDS:
            if any(options.wants(f"{call}: GGUF {kind}") for call in ("decode", "prompt")):
                yield from _beside_llama_cpp(options, options.peers[peers.LLAMA_CPP], kind)
    yield from _on_two_threads(options)


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
                count = _bytes_of_token(program, kind)
                yield {"row": name, "figures": {"compile": seconds, "bytes": count}, "times": times}


def _on_two_threads(options: Options) -> Iterator[Record]:
    """Yield the records of single tokens on two threads, beside one thread and C code that reads on two."""
    for kind in ON_TWO_THREADS:
        if not options.wants(name := f"decode, two threads: {kind}"):
            continue
        if hasattr(os, "sched_setaffinity"):  # other rows are pinned to one core
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        net, token = language_model(LAYERS, WIDTH, CLASSES), np.ones(1, np.int64)
        start = time.process_time()
        one = rg.compile(net, cache=False, **KINDS[kind])  # type: ignore[arg-type]
        two = rg.compile(net, parameters=one, threads=2, cache=False, **KINDS[kind])  # type: ignore[arg-type]
        streams = {ONE_THREAD: one.inference.stream(), OWN: two.inference.stream()}
        contenders = {name: partial(stream.step, ids=token) for name, stream in streams.items()}
        settled(contenders[OWN])
        seconds = time.process_time() - start
        if weights.is_available():
            contenders[READING] = weights.reading(_bytes_of_token(two, kind), 2)
        times = measure(contenders, None, options.rounds)
        yield {"row": name, "figures": {"compile": seconds, "bytes": _bytes_of_token(two, kind)}, "times": times}


def _bytes_of_token(program: rg.Program, kind: str) -> int:
    """Return the bytes of the weights that a token reads."""
    count = 0.0
    for name, array in program.parameters.items():
        if array.ndim == 2 and not name.startswith(TABLES):
            is_scale = name.endswith("/scales")  # float16 in panels
            count += array.size * (2 if is_scale else BYTES.get(kind, 4.0) if array.dtype == "float32" else 1)
    return int(count)


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
            "decode": {
                OWN: lambda: stream.step(ids=token),
                peers.LLAMA_CPP: theirs.call(token, False),
                **_reading(program, kind),
            },
            "prompt": {OWN: _prompt(program), peers.LLAMA_CPP: theirs.call(ids, True)},
        }
        for call, calls in contenders.items():
            if options.wants(name := f"{call}: GGUF {kind}"):
                times = measure(calls, None, options.rounds, clock=time.process_time)
                count = _bytes_of_token(program, kind)
                yield {"row": name, "figures": {"compile": seconds, "bytes": count}, "times": times}


def _check_like(own: np.ndarray, theirs: np.ndarray, kind: str) -> None:
    """Warn if the logits of rnngraph and llama.cpp differ by more than rounding explains."""
    correlation = np.corrcoef(own, theirs)[0, 1]
    if not correlation > MIN_CORRELATION:
        warnings.warn(
            f"GGUF {kind}: llama.cpp's logits have a correlation of {correlation:.3f} with ours", stacklevel=2
        )


def _decode(stream: rg.Stream, program: rg.Program, kind: str) -> dict[str, Call]:
    """Return calls by name: a step of a stream, and C code that reads as many bytes, or multiplies by blocks."""
    token = np.ones(1, np.int64)
    variants: dict[str, Call] = {OWN: lambda: stream.step(ids=token), **_reading(program, kind)}
    if READING in variants and kind in weights.FUNCTIONS:
        read = sum(array.size for name, array in program.parameters.items() if array.ndim == 2 and name != "table")
        variants[IN_C] = weights.product(kind, read, WIDTH)
    return variants


def _reading(program: rg.Program, kind: str) -> dict[str, Call]:
    """Return C code that reads as many bytes as a token, by its name; empty without a C compiler."""
    return {READING: weights.reading(_bytes_of_token(program, kind))} if weights.is_available() else {}


def _prompt(program: rg.Program) -> Call:
    """Return a call that reads a prompt and chooses one token, so that only the last token's logits are computed."""
    ids = np.arange(PROMPT)
    return lambda: np.array(next(program.inference.generate(ids, max_new=1)))


def large_cells(record: Record) -> dict[str, str]:
    times: Times = record["times"]
    tokens = PROMPT if record["row"].startswith("prompt") else 1
    own = median(times, OWN) / tokens

    def beside(name: str, words: str = "") -> str:
        """Return the time of a contender and its ratio to our time; empty if there is no such contender."""
        if name not in times:
            return ""
        return f"{milliseconds(median(times, name) / tokens)} ms{words} ({factor(ratio(times, name, OWN))})"

    rate = record["figures"]["bytes"] / median(times, READING) / 1e9 if READING in times else 0.0
    return {
        f"{OWN}: ms a token": milliseconds(own),
        "spread": f"{spread(times, OWN):.0%}",
        "tokens a second": f"{1 / own:,.0f}",
        "C that reads as many bytes": beside(READING, f", {rate:.0f} GB/s"),
        "C that multiplies by blocks": beside(IN_C),
        "one thread": beside(ONE_THREAD),
        peers.LLAMA_CPP: beside(peers.LLAMA_CPP),
        "compile s": f"{record['figures']['compile']:.1f}",
    }
