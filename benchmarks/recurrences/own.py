"""Contender rnngraph: one declaration for whole sequences, single steps and gradients."""

from __future__ import annotations

from typing import Any

import machine
import numpy as np
from workloads import Call

import rnngraph as rg

from .cells import declared
from .rows import Row


def program(row: Row, **options: Any) -> rg.Program:
    """Return the program of a row, compiled with ``options``. The loss is the mean of squared outputs."""
    x = rg.placeholder("x", (None, None, sum(row.widths())))
    cell, inputs = declared(row, x)
    outputs, _ = rg.dynamic_rnn(cell, inputs)
    return rg.compile(outputs, loss=rg.reduce_mean(rg.square(outputs)), target=machine.TARGET, **options)


def inference(row: Row) -> Call:
    compiled, x = program(row), row.inputs()
    out = compiled.inference(x=x)
    return lambda: compiled.inference(x=x, out=out)


def step(row: Row) -> Call:
    """Return a call of one step of a stream, with the same input each time."""
    stream, x = program(row).inference.stream(row.batch), np.ascontiguousarray(row.inputs()[:, 0])
    out = np.empty((row.batch, row.channels), np.float32)
    return lambda: stream.step(x=x, out=out)


def training(row: Row, **options: Any) -> tuple[Call, rg.Program]:
    """Return (call that computes the loss and the gradients by name, including the input's; its program)."""
    compiled, x = program(row, **options), row.inputs()

    def call() -> tuple[float, dict[str, np.ndarray]]:
        loss, gradients = compiled.training.gradients(x=x, wrt=["x"])
        return loss, {name.rsplit("/", 1)[-1]: values for name, values in gradients.items()}

    return call, compiled
