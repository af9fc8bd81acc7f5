"""Programs of all kinds, to be saved, each with feeds."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import own_cells as own

import rnngraph as rg
from rnngraph import tf1
from rnngraph.program.saved import save_load

Case = tuple[rg.Program, dict[str, np.ndarray]]
BATCH, TIME, WIDTH = 3, 5, 4

OwnState = namedtuple("OwnState", ("slow", "fast"))


def files_of(program: rg.Program) -> dict[str, bytes]:
    """Return the files that ``program.save`` writes."""
    options, parts = program.options, program.parts
    settings = save_load.SavedSettings(
        program.seed,
        options.unroll,
        options.weights,
        options.activations,
        options.sparse,
        options.chunked,
        parts.seeds.state,
    )
    return save_load.files_of(parts.source, parts.parameters, settings)


class TwoSpeedCell(rg.Cell):
    """Cell with two states in a user-defined namedtuple."""

    state_type = OwnState

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"slow": rg.memory(self.num_units), "fast": self.num_units}

    @property
    def output_size(self) -> int:
        return self.num_units

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n = self.num_units
        drive = x @ p.kernel("w", (x.width, n), "orthogonal") + p.bias("b", (n,), 0.25)
        fast = rg.tanh(drive + state["fast"] * p.parameter("u", (n,), "ones") + state["slow"])
        slow = 0.9 * state["slow"] + 0.1 * fast
        return fast, {"slow": slow, "fast": fast}


def floats(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


def sequence(dtype: str = "float32") -> tuple[rg.Tensor, dict[str, np.ndarray]]:
    return rg.placeholder("x", (None, None, WIDTH), dtype), {"x": floats(BATCH, TIME, WIDTH, dtype=dtype)}


def classes(logits: rg.Tensor, feeds: dict[str, np.ndarray]) -> rg.Tensor:
    labels = rg.placeholder("y", (None,), "int64")
    feeds["y"] = np.arange(BATCH) % logits.width
    return rg.sparse_softmax_cross_entropy(labels, logits)


def stack_with_dropout() -> Case:
    x, feeds = sequence()
    keep = rg.placeholder("keep", ())
    feeds["keep"] = np.float32(0.7)
    cells = [
        rg.DropoutWrapper(rg.BasicLSTMCell(6), input_keep_prob=keep, state_keep_prob=0.8, seed=3),
        rg.DropoutWrapper(rg.GRUCell(6), output_keep_prob=0.5, variational_recurrent=True),
        rg.ResidualWrapper(rg.BasicRNNCell(6, activation="relu")),
    ]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    logits = rg.dense(outputs[:, -1], 5)
    program = rg.compile({"logits": logits, "states": states}, loss=classes(logits, feeds), seed=11)
    program.training({name: feeds[name] for name in ("x", "keep")})  # so that the generator of seeds advances
    return program, feeds


def both_directions_with_lengths() -> Case:
    x, feeds = sequence()
    lengths = rg.placeholder("lengths", (None,), "int32")
    feeds["lengths"] = np.array([5, 2, 0], np.int32)
    cells = rg.LSTMCell(5, use_peepholes=True, num_proj=3), rg.GRUCell(3, reset_after=True)
    outputs, states = rg.bidirectional_dynamic_rnn(*cells, x, sequence_length=lengths)
    joined = rg.concat([*outputs], axis=2)
    loss = rg.reduce_mean(rg.square(joined))
    return rg.compile({"outputs": outputs, "last": rg.gather_last(joined, lengths), "s": states}, loss=loss), feeds


def lengths_in_float64() -> Case:
    x, feeds = sequence("float64")
    lengths = rg.placeholder("lengths", ("rows",), "int64")
    feeds["lengths"] = np.array([1, 5, 4])
    outputs, state = rg.dynamic_rnn(rg.GRUCell(7), x, sequence_length=lengths, scope="decoder")
    loss = rg.mean_squared_error(outputs, outputs * 0.5, lengths=lengths)
    return rg.compile({"outputs": outputs, "state": state}, loss=loss, seed=2**64 - 1), feeds


def own_state_type() -> Case:
    x, feeds = sequence()
    outputs, state = rg.dynamic_rnn(rg.DropoutWrapper(TwoSpeedCell(4), state_keep_prob=0.5), x)
    return rg.compile(
        {"o": outputs, "nest": {"state": state, "list": [state.slow]}}, loss=rg.reduce_sum(outputs)
    ), feeds


def own_cells_in_one_stack() -> Case:
    x, feeds = sequence()
    start = rg.placeholder("memory", (None, 3))
    feeds["memory"] = floats(BATCH, 3)
    cells = [own.GatedCell(4), own.UnusedStateCell(4), own.LearnedStartCell(5), own.CaptureCell(3, start)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell([*cells, own.NormCell(4)]), x)
    return rg.compile({"o": outputs, "s": states}, loss=rg.reduce_mean(outputs * outputs)), feeds


def shared_and_several_drivers() -> Case:
    x, feeds = sequence()
    shared = rg.shared(rg.BasicRNNCell(WIDTH))
    a, first = rg.dynamic_rnn(rg.MultiRNNCell([shared, shared]), x)
    b, second = rg.dynamic_rnn(shared, x[:, :-1], time_major=False)
    c, third = rg.dynamic_rnn(rg.BasicLSTMCell(WIDTH, state_is_tuple=False), a, scope="third")
    loss = rg.reduce_mean(c) + rg.reduce_mean(b)
    return rg.compile({"a": a, "states": (first, second, {"third": third})}, loss=loss), feeds


def parameters_of_another() -> Case:
    x, feeds = sequence()
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(5), x)
    program = rg.compile({"o": outputs}, loss=rg.reduce_mean(outputs))
    feeds_of = {"x": feeds["x"]}
    rg.Trainer(program).step(feeds_of)
    more = rg.dense(outputs, 2, name="head")
    return rg.compile({"more": more}, loss=rg.reduce_mean(rg.square(more)), parameters=program), feeds


def embedded_ids_with_defaults() -> Case:
    ids = rg.placeholder("net/ids #1", (None, None), "int32")
    keep = tf1.placeholder_with_default(np.float32(0.6), (), name="keep_prob")
    scale = tf1.placeholder_with_default(np.arange(3, dtype=np.int64), (3,), name="scale")
    embedded = rg.embedding(ids, 9, 6)
    cell = rg.DropoutWrapper(rg.BasicLSTMCell(5), input_keep_prob=keep, output_keep_prob=keep)
    outputs, state = rg.dynamic_rnn(cell, embedded)
    logits = rg.dense(outputs, 3) * rg.cast(scale, "float32")
    feeds = {"net/ids #1": np.random.default_rng(0).integers(0, 9, (BATCH, TIME)).astype(np.int32)}
    return rg.compile({"logits # 2": logits, "state": state}, loss=rg.reduce_mean(rg.square(logits))), feeds


def unrolled() -> Case:
    x, feeds = sequence()
    outputs, state = rg.dynamic_rnn(rg.GRUCell(6), x)
    return rg.compile({"state": state}, loss=rg.reduce_sum(outputs), unroll=3), feeds


def fully_unrolled() -> Case:
    x = rg.placeholder("x", ("rows", TIME, WIDTH))
    outputs, state = rg.dynamic_rnn(rg.DropoutWrapper(rg.BasicRNNCell(6), state_keep_prob=0.9), x)
    program = rg.compile({"state": state}, loss=rg.reduce_sum(outputs), unroll="full")
    return program, {"x": floats(BATCH, TIME, WIDTH)}


def one_tensor_without_a_loss() -> Case:
    x, feeds = sequence()
    return rg.compile(rg.dynamic_rnn(rg.BasicRNNCell(6), x)[0], threads=1), feeds


def one_tensor_with_a_loss() -> Case:
    x, feeds = sequence()
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(6, activation="gelu"), x)
    return rg.compile(outputs, loss=rg.reduce_mean(outputs)), feeds


def nothing_recurrent() -> Case:
    x = rg.placeholder("x", (None, WIDTH))
    feeds = {"x": floats(BATCH, WIDTH)}
    logits = rg.dense(rg.dense(x, 8, activation="relu"), 3)
    return rg.compile({"logits": logits}, loss=classes(logits, feeds)), feeds


def constants_of_all_kinds() -> Case:
    x, feeds = sequence()
    odd = np.array([0x7FC00001, 0xFFC00000, 0x7F800000, 0x80000000], np.uint32).view(np.float32)
    table = rg.constant(floats(WIDTH, 20), name="table")
    mask = rg.constant(np.array([True, False, True, True]))
    filled = rg.constant(np.full((WIDTH, 30), -0.0, np.float32))
    outputs, state = rg.dynamic_rnn(rg.BasicRNNCell(20), x @ table)
    kept = rg.where(mask, x, rg.constant(odd))
    named = {"odd": rg.constant(odd) * 1.0, "kept": kept, "filled": x @ filled, "i": rg.constant(np.arange(40)) + 1}
    return rg.compile({**named, "state": state}, loss=rg.reduce_mean(outputs)), feeds


def initial_values_of_all_kinds() -> Case:
    x, feeds = sequence()
    scale = rg.parameter("scale", (WIDTH,), np.linspace(0, 1, WIDTH))
    shift = rg.parameter("shift", (1,), 0.125, trainable=False)
    counts = rg.parameter("counts", (2,), "ones", trainable=False, dtype="int32")
    a = tf1.layers.dense(x * scale + shift, 6, kernel_initializer=tf1.truncated_normal_initializer(stddev=0.1))
    b = tf1.layers.dense(a, 6, kernel_initializer=tf1.random_uniform_initializer(-0.2, 0.3))
    c = tf1.layers.dense(b, 6, kernel_initializer=tf1.random_normal_initializer(1, 0.3))
    d = tf1.layers.dense(c, 6, kernel_initializer=tf1.orthogonal_initializer(gain=2.0))
    outputs, state = rg.dynamic_rnn(rg.BasicLSTMCell(4), d)
    return rg.compile({"state": state, "counts": counts * 2}, loss=rg.reduce_mean(outputs), seed=5), feeds


def losses() -> Case:
    x, feeds = sequence()
    lengths = rg.placeholder("lengths", (None,), "int64")
    labels = rg.placeholder("labels", (None, None), "int64")
    feeds |= {"lengths": np.array([5, 3, 1]), "labels": np.random.default_rng(1).integers(0, 6, (BATCH, TIME))}
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(6), x, sequence_length=lengths)
    loss = rg.sparse_softmax_cross_entropy(labels, outputs, lengths=lengths)
    loss = loss + rg.huber_loss(outputs, outputs * 0.5) + rg.absolute_difference(outputs, outputs * 2.0)
    return rg.compile({"right": rg.accuracy(labels, outputs, lengths=lengths)}, loss=loss), feeds


def small_program() -> rg.Program:
    """Return a small program, whose files tests damage."""
    x = rg.placeholder("x", shape=(None, None, 3))
    outputs, state = rg.dynamic_rnn(rg.DropoutWrapper(rg.GRUCell(4), input_keep_prob=0.5), x)
    return rg.compile({"outputs": outputs, "state": state}, loss=rg.reduce_mean(outputs))


CASES: dict[str, Callable[[], Case]] = {
    case.__name__: case
    for case in (
        stack_with_dropout,
        both_directions_with_lengths,
        lengths_in_float64,
        own_state_type,
        own_cells_in_one_stack,
        shared_and_several_drivers,
        parameters_of_another,
        embedded_ids_with_defaults,
        unrolled,
        fully_unrolled,
        one_tensor_without_a_loss,
        one_tensor_with_a_loss,
        nothing_recurrent,
        constants_of_all_kinds,
        initial_values_of_all_kinds,
        losses,
    )
}
