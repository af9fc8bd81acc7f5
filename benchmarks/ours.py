"""rnngraph's side of every workload."""

from __future__ import annotations

from typing import Any

import numpy as np
from timing import fastest
from workloads import VARIANTS, Call, OwnPeephole, Row

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
    compiled, x = program(row, with_loss=False, threads=threads), row.batch_major()
    out = compiled.inference(x=x)
    return fastest(lambda: compiled.inference(x=x), lambda: compiled.inference(x=x, out=out))


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
