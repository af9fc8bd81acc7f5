"""Nets for pictures and pages."""

from __future__ import annotations

from typing import Any

import rnngraph as rg

HOSTILE = """</script><script>alert("x")</script>'&<!--\x01"""
"""Name with markup and with a character that XML does not allow."""


class Gated(rg.Cell):
    """User-defined cell."""

    def __init__(self, units: int) -> None:
        self.units = units

    def state(self) -> Any:
        return {"h": self.units}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.units, state["h"]
        f = rg.sigmoid(x @ p.kernel("w_f", (x.width, n)) + h @ p.kernel("u_f", (n, n)) + p.bias("b_f", (n,)))
        c = rg.tanh(x @ p.kernel("w_c", (x.width, n)) + (f * h) @ p.kernel("u_c", (n, n)))
        h = (1 - f) * h + f * c
        return h, {"h": h}


def dropped_stack(layers: int = 3, units: int = 7, with_loss: bool = True) -> rg.Program:
    """Return the README's net: a stack in which every layer drops its inputs."""
    x = rg.placeholder("x", shape=(None, None, 5))
    cells = [rg.DropoutWrapper(rg.BasicRNNCell(units), input_keep_prob=0.5) for _ in range(layers)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    logits = rg.dense(outputs[:, -1], 3)
    y = rg.placeholder("y", shape=(None,), dtype="int64")
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits) if with_loss else None
    return rg.compile({"logits": logits, "states": states}, loss=loss, cache=False)


def both_ways() -> rg.Program:
    """Return a bidirectional driver with lengths, nested wrappers, and dropout."""
    x = rg.placeholder("x", shape=(None, None, 6))
    n = rg.placeholder("n", shape=(None,), dtype="int64")
    cells = [rg.ResidualWrapper(rg.DropoutWrapper(rg.BasicLSTMCell(6), output_keep_prob=0.8)) for _ in range(2)]
    (forward, backward), _ = rg.bidirectional_dynamic_rnn(*cells, x, sequence_length=n)
    both = rg.concat([forward, backward], axis=2)
    dropped = rg.dropout(both, keep_prob=0.5)
    return rg.compile({"scores": rg.dense(dropped, 2)}, cache=False)


def two_layers_both_ways() -> rg.Program:
    """Return two bidirectional LSTM layers with lengths, dropped outputs, and a loss."""
    outputs = rg.placeholder("x", shape=(None, None, 12))
    n = rg.placeholder("n", shape=(None,), dtype="int64")
    y = rg.placeholder("y", shape=(None,), dtype="int64")
    for layer in range(2):
        cells = [rg.DropoutWrapper(rg.LSTMCell(10), output_keep_prob=0.9) for _ in range(2)]
        both, states = rg.bidirectional_dynamic_rnn(*cells, outputs, sequence_length=n, scope=f"layer_{layer}")
        outputs = rg.concat(both, axis=-1)
    logits = rg.dense(rg.concat([states[0].h, states[1].h], axis=-1), 5)
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits)
    return rg.compile({"logits": logits, "outputs": outputs}, loss=loss, cache=False)


def decoder() -> rg.Program:
    """Return a decoder with attention and teacher forcing in training."""
    memory = rg.placeholder("memory", shape=(None, None, 4))
    lengths = rg.placeholder("lengths", shape=(None,), dtype="int64")
    wanted = rg.placeholder("wanted", shape=(None, 5), dtype="int64")
    table = rg.parameter("table", (6, 3))
    attention = rg.LuongAttention(4, memory, memory_sequence_length=lengths)
    cell = rg.AttentionWrapper(rg.GRUCell(4), attention, attention_layer_size=4)
    scores, _, steps = rg.dynamic_decode(
        cell,
        table[0],
        lambda out, _: rg.gather(table, rg.argmax(out)),
        5,
        teacher=rg.gather(table, wanted),
    )
    loss = rg.reduce_mean(scores)
    return rg.compile({"scores": scores, "steps": steps}, loss=loss, cache=False)


def own_cells() -> rg.Program:
    """Return a user-defined cell, with dropout and without, below a built-in one."""
    x = rg.placeholder("x", shape=(None, None, 3))
    cells = [rg.DropoutWrapper(Gated(5), input_keep_prob=0.9), Gated(2), rg.LSTMCell(3, use_peepholes=True)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    return rg.compile(outputs, cache=False)


def hostile() -> rg.Program:
    """Return a net with names that are markup."""
    x = rg.placeholder("x", shape=(None, None, 2))
    outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(rg.BasicRNNCell(2), output_keep_prob=0.5), x)
    return rg.compile({HOSTILE: rg.tap("seen", outputs)}, cache=False)
