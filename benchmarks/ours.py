"""rnngraph's side of every workload."""

from __future__ import annotations

from typing import Any

import numpy as np
from timing import fastest
from workloads import ENTRIES, VARIANTS, Call, OwnPeephole, Row

import rnngraph as rg


def cell(row: Row) -> Any:
    match row.cell:
        case "RNN":
            return rg.BasicRNNCell(row.units)
        case "LSTM":
            return rg.BasicLSTMCell(row.units)
        case "peephole":
            return rg.LSTMCell(row.units, use_peepholes=True)
        case "own peephole":
            return OwnPeephole(row.units)
    if row.cell in VARIANTS:
        options = {"num_in_proj": row.units} if row.cell == "IntersectionRNN" else {}
        return getattr(rg, f"{row.cell}Cell")(row.units, **options)
    return rg.GRUCell(row.units, reset_after=row.cell == "GRU")


def program(row: Row, with_loss: bool, **options: Any) -> rg.Program:
    """The declaration, compiled. The loss is the mean of all squared outputs. options: of ``compile``."""
    inputs = rg.placeholder("x", (None, None, row.inputs))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([cell(row) for _ in range(row.layers)]), inputs)
    loss = rg.reduce_mean(rg.square(outputs)) if with_loss else None
    return rg.compile(outputs, loss=loss, **options)


def inference(row: Row, threads: int = 1) -> Call:
    """A call, results fresh or into the caller's array: the faster."""
    if row.cell in ("attention", "decode"):
        compiled, feeds = driven(row)
    else:
        compiled, feeds = program(row, with_loss=False, threads=threads), {"x": row.batch_major()}
    out = compiled.inference(feeds)
    return fastest(lambda: compiled.inference(feeds), lambda: compiled.inference(feeds, out=out))


def ended(row: Row, kind: str) -> dict[str, Call]:
    """Calls without lengths, and with lengths of several means: spread evenly from 1 on, and all alike."""
    shuffled = np.random.default_rng(3).permutation(row.batch)
    cases: dict[str, np.ndarray | None] = {"rnngraph": None, "all 100 %": np.full(row.batch, row.time)}
    for share in (50, 25):
        most = 2 * row.time * share // 100 - 1
        cases[f"mean {share} %"] = np.linspace(1, most, row.batch).round().astype(np.int64)[shuffled]
        cases[f"all {share} %"] = np.full(row.batch, row.time * share // 100)
    return {name: _with_lengths(row, kind, lengths) for name, lengths in cases.items()}


def _with_lengths(row: Row, kind: str, lengths: np.ndarray | None) -> Call:
    inputs, feeds = rg.placeholder("x", (None, None, row.inputs)), {"x": row.batch_major()}
    given = None
    if lengths is not None:
        given, feeds["n"] = rg.placeholder("n", (None,), "int64"), lengths
    stack = rg.MultiRNNCell([cell(row) for _ in range(row.layers)])
    outputs, _ = rg.dynamic_rnn(stack, inputs, sequence_length=given)
    compiled = rg.compile(outputs, loss=rg.reduce_mean(rg.square(outputs)))
    if kind == "inference":
        return lambda: compiled.inference(feeds)
    return lambda: compiled.training.gradients(feeds)


def driven(row: Row) -> tuple[rg.Program, dict[str, np.ndarray]]:
    """A cell that attends to a memory, or one that is fed what it gave and could stop; with what it is fed."""
    generator = np.random.default_rng(2)
    if row.cell == "attention":
        inputs, memory = (
            rg.placeholder("x", (None, None, row.inputs)),
            rg.placeholder("memory", (None, ENTRIES, row.units)),
        )
        attending = rg.AttentionWrapper(rg.GRUCell(row.units), rg.LuongAttention(row.units, memory))
        outputs, _ = rg.dynamic_rnn(attending, inputs)
        entries = generator.normal(size=(row.batch, ENTRIES, row.units)).astype(np.float32)
        return rg.compile(outputs), {"x": row.batch_major(), "memory": entries}
    first = rg.placeholder("first", (None, row.units))
    outputs, _, _ = rg.dynamic_decode(
        rg.GRUCell(row.units), first, lambda y, _: y, row.time, stop=lambda y: y[:, 0] > 2.0
    )
    return rg.compile(outputs), {"first": generator.normal(size=(row.batch, row.units)).astype(np.float32)}


def narrow(row: Row, **options: str) -> tuple[Call, np.ndarray]:
    """A call with weights of a form, and what it gives."""
    compiled, x = program(row, with_loss=False, **options), row.batch_major()
    return lambda: compiled.inference(x=x), compiled.inference(x=x)


def stream_step(row: Row) -> Call:
    """One step of a stream, which keeps its state."""
    stream = program(row, with_loss=False).inference.stream(row.batch)
    x = np.ascontiguousarray(row.batch_major()[:, 0])
    return lambda: stream.step(x=x)


def training(row: Row, threads: int = 1) -> Call:
    """The loss and the gradient of every parameter."""
    compiled, x = program(row, with_loss=True, threads=threads), row.batch_major()
    return lambda: compiled.training.gradients(x=x)


def training_after_change(row: Row) -> Call:
    """The same with parameters that are new at every call, so that what is made from them is made again."""
    compiled, x = program(row, with_loss=True), row.batch_major()
    parameters = compiled.parameters

    def call() -> object:
        parameters.replace(dict(parameters))
        return compiled.training.gradients(x=x)

    return call


def train_step(row: Row) -> Call:
    """A step of a trainer: gradients, clipped by their norm, and Adam's update."""
    trainer, x = rg.Trainer(program(row, with_loss=True), rg.Adam(1e-3), clip_norm=1.0), row.batch_major()
    return lambda: trainer.step(x=x)
