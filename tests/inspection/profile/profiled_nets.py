"""Nets for profiles, with their feeds and layers. Sizes are no multiples of vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import rnngraph as rg


class ProfiledNet(NamedTuple):
    """Program, feeds, and the layers that take time in its inference graph."""

    program: rg.Program
    feeds: dict[str, np.ndarray]
    layers: set[str]


class OwnCell(rg.Cell):
    """Minimal gated unit, whose candidate depends on its gate: two kernels for each step."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.num_units, state["h"]
        f = rg.sigmoid(x @ p.kernel("w_f", (x.width, n)) + h @ p.kernel("u_f", (n, n)))
        c = rg.tanh(x @ p.kernel("w_c", (x.width, n)) + (f * h) @ p.kernel("u_c", (n, n)))
        h = (1 - f) * h + f * c
        return h, {"h": h}


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def stack(**options: Any) -> ProfiledNet:
    """Return a stack of three kinds of cells."""
    x = rg.placeholder("x", (None, None, 7))
    cells = [rg.BasicRNNCell(17), rg.GRUCell(25), rg.BasicLSTMCell(3)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    kinds = ["basic_rnn_cell", "gru_cell", "basic_lstm_cell"]
    layers = {f"rnn/multi_rnn_cell/cell_{number}/{kind}" for number, kind in enumerate(kinds)}
    return ProfiledNet(rg.compile(outputs, **options), {"x": array(3, 25, 7)}, layers)


def own_cell(**options: Any) -> ProfiledNet:
    x = rg.placeholder("x", (None, None, 7))
    outputs, _ = rg.dynamic_rnn(OwnCell(17), x)
    return ProfiledNet(rg.compile(rg.dense(outputs, 2), **options), {"x": array(2, 63, 7)}, {"rnn/own_cell", "dense"})


def both_ways(**options: Any) -> ProfiledNet:
    """Return a bidirectional net over rows of several lengths."""
    x, n = rg.placeholder("x", (None, None, 7)), rg.placeholder("n", (None,), "int64")
    halves, _ = rg.bidirectional_dynamic_rnn(rg.BasicLSTMCell(17), rg.GRUCell(3), x, sequence_length=n)
    feeds = {"x": array(3, 25, 7), "n": np.array([1, 17, 25])}
    layers = {"bidirectional_rnn/fw/basic_lstm_cell", "bidirectional_rnn/bw/gru_cell"}
    return ProfiledNet(rg.compile(rg.concat(list(halves)), **options), feeds, layers)


def decoder(**options: Any) -> ProfiledNet:
    """Return a decoder with attention over an open number of entries."""
    x, memory = rg.placeholder("x", (None, None, 7)), rg.placeholder("memory", (None, None, 17))
    cell = rg.AttentionWrapper(rg.GRUCell(17), rg.LuongAttention(17, memory))
    feeds = {"x": array(3, 7, 7), "memory": array(3, 9, 17)}
    layers = {"rnn/attention_wrapper/gru_cell", "rnn/attention_wrapper"}
    return ProfiledNet(rg.compile(rg.dynamic_rnn(cell, x)[0], **options), feeds, layers)


def trained(**options: Any) -> ProfiledNet:
    """Return a net with dropout and a loss."""
    x, y = rg.placeholder("x", (None, None, 7)), rg.placeholder("y", (None,), "int64")
    cell = rg.DropoutWrapper(rg.GRUCell(17), input_keep_prob=0.7)
    outputs, _ = rg.dynamic_rnn(cell, x)
    logits = rg.dense(outputs[:, -1], 3)
    loss = rg.sparse_softmax_cross_entropy(y, logits)
    feeds = {"x": array(3, 25, 7), "y": np.array([0, 2, 1])}
    return ProfiledNet(rg.compile(logits, loss=loss, seed=0, **options), feeds, {"rnn/gru_cell", "dense"})


NETS = {"stack": stack, "own cell": own_cell, "both ways": both_ways, "decoder": decoder}
