"""Nets whose instructions are traced back to layers and lines: a stack, a user's cell, both directions, attention and a
trainer's step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rnngraph as rg


class Leaky(rg.Cell):
    """Cell of several lines."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.num_units, state["h"]
        drive = x @ p.kernel("w", (x.width, n)) + h @ p.kernel("u", (n, n))
        goal = rg.tanh(drive)
        h = h + 0.25 * (goal - h)
        return h, {"h": h}


def stack() -> rg.Program:
    x = rg.placeholder("x", shape=(None, None, 3))
    cell = rg.MultiRNNCell([rg.BasicRNNCell(7), rg.GRUCell(17), rg.DropoutWrapper(rg.LSTMCell(5), input_keep_prob=0.5)])
    outputs, _ = rg.dynamic_rnn(cell, x)
    return rg.compile(rg.dense(outputs, 3))


def own_cell() -> rg.Program:
    x = rg.placeholder("x", shape=(None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([Leaky(17), Leaky(17)]), x, scope="encoder")
    return rg.compile(outputs)


def both_ways() -> rg.Program:
    x = rg.placeholder("x", shape=(None, None, 3))
    lengths = rg.placeholder("lengths", shape=(None,), dtype="int32")
    outputs, _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(7), rg.LSTMCell(2), x, sequence_length=lengths)
    return rg.compile(rg.concat(outputs, 2))


def decoder() -> rg.Program:
    x, y = (rg.placeholder(name, shape=(None, None, 3)) for name in "xy")
    memory, _ = rg.dynamic_rnn(rg.GRUCell(7), x, scope="encoder")
    cell = rg.AttentionWrapper(rg.GRUCell(5), rg.BahdanauAttention(7, memory))
    outputs, _ = rg.dynamic_rnn(cell, y, scope="decoder")
    return rg.compile(rg.dense(outputs, 5, name="words"))


def trainer() -> rg.Trainer:
    x = rg.placeholder("x", shape=(None, None, 3))
    labels = rg.placeholder("labels", shape=(None,), dtype="int64")
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.DropoutWrapper(rg.GRUCell(7), input_keep_prob=0.5), Leaky(5)]), x)
    logits = rg.dense(outputs[:, -1], 5)
    program = rg.compile({"logits": logits}, loss=rg.sparse_softmax_cross_entropy(labels, logits))
    return rg.Trainer(program, rg.Adam(1e-3), clip_norm=1.0)


STACK = ("rnn/multi_rnn_cell/cell_0/basic_rnn_cell", "rnn/multi_rnn_cell/cell_1/gru_cell")
NETS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "stack": (lambda: stack().inference, (*STACK, "rnn/multi_rnn_cell/cell_2/lstm_cell", "dense")),
    "own cell": (lambda: own_cell().inference, tuple(f"encoder/multi_rnn_cell/cell_{n}/leaky" for n in (0, 1))),
    "both ways": (lambda: both_ways().inference, ("bidirectional_rnn/fw/gru_cell", "bidirectional_rnn/bw/lstm_cell")),
    "decoder": (
        lambda: decoder().inference,
        (
            "encoder/gru_cell",
            "decoder/attention_wrapper",
            "decoder/attention_wrapper/gru_cell",
            "words",
        ),
    ),
    "trainer": (trainer, ("rnn/multi_rnn_cell/cell_0/gru_cell", "rnn/multi_rnn_cell/cell_1/leaky", "dense", "loss")),
}
"""By name: a function that builds an object with stages, and the layers that its instructions must belong to."""
