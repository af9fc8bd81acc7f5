"""Nets with states as inputs and outputs, and calls that pass states from call to call."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import rnngraph as rg

Array = np.ndarray
Net = tuple[dict[str, rg.Tensor], dict[str, str]]
"""(outputs, {state output: placeholder that is fed this state in the next call})."""


def data(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def layers_first(batch: int | None = None) -> Net:
    """Return two LSTM layers over [batch, time, 5], with states [layers, batch, units]."""
    x = rg.placeholder("x", (batch, None, 5))
    h, c = rg.placeholder("h", (2, batch, 7)), rg.placeholder("c", (2, batch, 7))
    initial = tuple(rg.LSTMStateTuple(c[layer], h[layer]) for layer in range(2))
    outputs, state = rg.dynamic_rnn(rg.MultiRNNCell([rg.LSTMCell(7), rg.LSTMCell(7)]), x, initial_state=initial)
    states = {"hn": rg.stack([layer.h for layer in state]), "cn": rg.stack([layer.c for layer in state])}
    return {"y": rg.dense(outputs, 3), **states}, {"hn": "h", "cn": "c"}


def time_first() -> Net:
    """Return a GRU over [time, batch, 5], as in ONNX."""
    x, h = rg.placeholder("x", (None, None, 5)), rg.placeholder("h", (1, None, 7))
    outputs, state = rg.dynamic_rnn(rg.GRUCell(7), x, initial_state=h[0], time_major=True)
    return {"y": outputs, "hn": rg.expand_dims(state, 0)}, {"hn": "h"}


def partly_kept() -> Net:
    """Return two recurrences, of which one has its state as an input and an output."""
    x, h = rg.placeholder("x", (None, None, 5)), rg.placeholder("h", (None, 7))
    below, state = rg.dynamic_rnn(rg.GRUCell(7), x, initial_state=h)
    return {"y": rg.dynamic_rnn(rg.BasicRNNCell(4), below)[0], "hn": state}, {"hn": "h"}


def behind_a_convolution() -> Net:
    """Return a convolution over three steps, and a GRU whose state is an input. A stream stores the steps, too."""
    x, h = rg.placeholder("x", (None, None, 5)), rg.placeholder("h", (1, None, 7))
    outputs, state = rg.dynamic_rnn(rg.GRUCell(7), rg.conv1d(x, 6, 3), initial_state=h[0])
    return {"y": rg.dense(outputs, 3), "hn": state[None]}, {"hn": "h"}


SEQUENCES: Mapping[str, tuple[Callable[[], Net], int]] = {
    "layers first": (layers_first, 1),
    "layers first, three rows by declaration": (lambda: layers_first(3), 1),
    "time first": (time_first, 0),
    "partly kept": (partly_kept, 1),
    "behind a convolution": (behind_a_convolution, 1),
}
"""By name: function that returns a net over sequences, and the time axis of its inputs and outputs."""


def one_step() -> Net:
    """Return a step of a recurrence as a graph of products without a time axis."""
    x, h = rg.placeholder("x", (None, 5)), rg.placeholder("h", (1, None, 7))
    after = rg.tanh(rg.dense(rg.concat([x, h[0]], axis=1), 7))
    return {"y": rg.dense(after, 3), "hn": rg.expand_dims(after, 0)}, {"hn": "h"}


def time_of_one() -> Net:
    """Return an LSTM over a declared length of 1, with h and c in one array [2, batch, units]."""
    x, state = rg.placeholder("x", (None, 1, 5)), rg.placeholder("state", (2, None, 7))
    outputs, after = rg.dynamic_rnn(rg.LSTMCell(7), x, initial_state=rg.LSTMStateTuple(state[1], state[0]))
    return {"y": rg.dense(outputs[:, -1], 3), "stateN": rg.stack([after.h, after.c])}, {"stateN": "state"}


def restarts() -> Net:
    """Return a net over windows of 4: a recurrence restarts in each window, and a counter of windows continues."""
    x, count = rg.placeholder("x", (None, 4, 5)), rg.placeholder("count", (None,), "int64")
    outputs, state = rg.dynamic_rnn(rg.GRUCell(7), x)
    return {"y": outputs * rg.cast(count, "float32")[:, None, None], "last": state, "next": count + 1}, {
        "next": "count"
    }


def without_rows() -> Net:
    """Return a net over one sequence without a batch: the state has no batch axis."""
    x, h = rg.placeholder("x", (5,)), rg.placeholder("h", (7,))
    after = rg.tanh(rg.dense(rg.concat([x, h], axis=0)[None], 7)[0])
    return {"y": after * 2.0, "hn": after}, {"hn": "h"}


STEPS: Mapping[str, tuple[Callable[[], Net], tuple[int, ...]]] = {
    "products": (one_step, (5,)),
    "time of one": (time_of_one, (1, 5)),
    "restarts": (restarts, (4, 5)),
}
"""By name: function that returns a net whose calls are single steps, and the shape of a row's input."""


def compiled(net: Net) -> rg.Program:
    outputs, states = net
    return rg.compile(outputs, states=states, seed=1)


def zeros(program: rg.Program, net: Net, batch: int) -> dict[str, Array]:
    """Return initial states of zeros."""
    return {
        name: np.zeros([batch if dim is None or isinstance(dim, str) else dim for dim in spec.shape], spec.dtype)
        for name, spec in program.inputs.items()
        if name in net[1].values()
    }


def called(program: rg.Program, net: Net, states: dict[str, Array], **feeds: Array) -> tuple[dict[str, Array], Any]:
    """Call a net, and return its results and the states for the next call."""
    result = program.inference(**feeds, **states)
    shown = {name: result[name] for name in result if name not in net[1]}
    return shown, {placeholder: result[output] for output, placeholder in net[1].items()}


def same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name])


def drawn(seed: int) -> tuple[Net, tuple[int, ...], int | None]:
    """Return (random net, shape of a row's step, time axis of the input).

    The time axis is None if each call is one step. All layers are of one kind. Their states are in one array, whose
    axes are in random order.
    """
    draw = random.Random(seed)
    layers, units, width = draw.randint(1, 3), draw.choice((1, 3, 7, 17, 25)), draw.choice((1, 2, 5))
    dtype, order = draw.choice(("float32", "float64")), draw.sample(range(3), 3)
    form = draw.choice(("sequence", "time first", "declared length", "one step"))
    length = draw.randint(1, 3)
    shape: tuple[Any, ...] = {"declared length": (None, length, width), "one step": (None, width)}.get(
        form, (None, None, width)
    )
    x = rg.placeholder("x", shape, dtype)
    kind = draw.choice((rg.LSTMCell, rg.GRUCell, rg.BasicRNNCell, rg.MinimalRNNCell))
    parts = layers * (2 if kind is rg.LSTMCell else 1)
    sizes: list[int | None] = [parts, None, units]
    states = rg.transpose(rg.placeholder("held", [sizes[axis] for axis in order], dtype), np.argsort(order).tolist())
    cells = [kind(units) for _ in range(layers)]
    before = [states[part] for part in range(parts)]
    nest = tuple(map(rg.LSTMStateTuple, before[::2], before[1::2])) if kind is rg.LSTMCell else tuple(before)
    if form == "one step":
        outputs, state = rg.dynamic_rnn(rg.MultiRNNCell(cells), x[:, None], initial_state=nest)
    else:
        outputs, state = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, initial_state=nest, time_major=form == "time first")
    after = rg.stack([leaf for layer in state for leaf in (layer if kind is rg.LSTMCell else (layer,))])
    outs = {"next": rg.transpose(after, order), "y": rg.dense(outputs, 2) + 0.5, "shown": after[0]}
    step = shape[1:] if form in ("declared length", "one step") else (width,)
    return (outs, {"next": "held"}), step, {"sequence": 1, "time first": 0}.get(form)
