"""Small programs of odd sizes, with feeds, that together use all instructions that a processor may lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from own_cells import GatedCell

import rnngraph as rg

Arrays = dict[str, np.ndarray]
Case = Callable[[str], dict[str, Any]]


def _cell(make: Callable[[], rg.Cell], inputs: int) -> Case:
    def case(dtype: str) -> dict[str, Any]:
        outputs, state = rg.dynamic_rnn(make(), rg.placeholder("x", (None, None, inputs), dtype))
        return {"outputs": outputs, "state": state}

    return case


def _stack(dtype: str) -> dict[str, Any]:
    cells = [rg.BasicRNNCell(63, activation="gelu"), rg.LSTMCell(17, use_peepholes=True), rg.GRUCell(25)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), rg.placeholder("x", (None, None, 9), dtype))
    logits = rg.dense(rg.layer_norm(outputs[:, -1]), 5)
    return {"states": states, "logits": logits}


def _heads(dtype: str) -> dict[str, Any]:
    """Declare every elementary function, and reductions."""
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(7), rg.placeholder("x", (None, None, 3), dtype))
    z = rg.dense(outputs, 5)
    return {
        "softmax": rg.softmax(z),
        "exp": rg.exp(z),
        "log": rg.log(rg.abs(z) + 0.5),
        "gelu": rg.gelu(z),
        "waves": rg.sin(z) + rg.cos(z),
        "log1p": rg.log1p(rg.exp(z)),
        "elu": rg.elu(z),
        "erf": rg.erf(z),
        "atan": rg.atan(z * 3),
        "squashed": rg.tanh(z) * rg.sigmoid(z) + rg.expm1(z),
        "powers": rg.power(rg.abs(z), z) + z**9,
        "left": rg.fmod(z, 0.1) + z % 0.3,
        "signs": rg.copysign(z, -z),
        "root": rg.sqrt(rg.square(z) + 1),
        "sums": rg.reduce_sum(z, 0) / (1 + rg.reduce_max(rg.abs(z))),
        "mean": rg.reduce_mean(z, 1),
        "least": rg.reduce_min(z, -1),
        "clipped": rg.relu6(z) + rg.clip(z, -0.1, 0.2),
    }


def _whole(dtype: str) -> dict[str, Any]:
    """Declare int32 and int64 values, bools, tables, and lengths."""
    words = rg.placeholder("words", (None, None), "int64")
    lengths = rg.placeholder("n", (None,), "int64")
    outputs, state = rg.bidirectional_dynamic_rnn(
        rg.GRUCell(7), rg.LSTMCell(3), rg.cast(rg.embedding(words, 11, 5), dtype), sequence_length=lengths
    )
    joined = rg.concat(outputs)
    best = rg.argmax(joined)
    large = words * 1234567 * lengths[:, None] - 77777777777
    wide = rg.cast(large, dtype)
    return {
        "last": rg.gather_last(joined, lengths),
        "state": state,
        "best": best,
        "hot": rg.one_hot(best, 10, dtype),
        "large": large,
        "wide": wide,
        "back": rg.cast(wide, "int64"),
        "narrow": rg.cast(wide * 1e-3, "int32"),
        "beyond": rg.cast(wide * 1e12, "int64"),
        "parts": rg.cast(joined * 100, "int64"),
        "quotient": large // (words * 77 - 5),
        "left": large % (best + words),
        "power": (words - 3) ** best,
        "equal": rg.equal(best, words),
        "more": rg.greater(joined, 0.0),
        "sum": rg.reduce_sum(words, 1),
    }


def _matrices(dtype: str) -> dict[str, Any]:
    """Declare batched matrix products, in a loop and outside, some with symbolic columns, and batch normalization."""
    x = rg.placeholder("x", (None, None, 7), dtype)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(9), rg.batch_normalization(x), time_major=True)
    own = rg.parameter("own", (3, 7, 5), dtype=dtype)
    parts = rg.transpose(rg.reshape(rg.dense(outputs, 21), (None, None, 3, 7)), (1, 2, 0, 3))
    score = rg.softmax(parts @ rg.transpose(parts, (0, 1, 3, 2)))
    every = rg.transpose(outputs, (1, 0, 2))
    shares = rg.softmax(every @ rg.transpose(every, (0, 2, 1)))
    return {
        "read": score @ parts,
        "own": rg.tanh(parts @ own),
        "last": parts[:, :, -1:] @ rg.tanh(own),
        "steps": shares @ every,
        "largest": rg.reduce_max(shares, 2),
        "few": outputs[:, :1] @ rg.transpose(outputs, (0, 2, 1)),
    }


def _front(dtype: str) -> dict[str, Any]:
    """Declare a driver over windows of the input. The number of windows is a quotient of sizes."""
    x = rg.placeholder("x", (None, None, 5), dtype)
    hidden = rg.conv1d(x, 20, 3, "same", strides=2, activation="tanh")
    hidden = rg.conv1d(hidden, 18, 2, (1, 0), strides=3) + rg.conv1d(hidden, 18, 3, "same", groups=2, strides=3)
    hidden = hidden * rg.conv1d(hidden, 18, 3, groups=18)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(7), hidden)
    return {"outputs": outputs, "largest": rg.max_pool1d(x, 2, 3, "same"), "back": x[:, ::-3]}


def _ahead(dtype: str) -> dict[str, Any]:
    """Declare a net whose stream has a delay and reads several entries for each step."""
    x = rg.placeholder("x", (None, None, 3), dtype)
    padded = rg.pad(x, {1: (2, 2)}, "edge")
    hidden = rg.conv1d(rg.conv1d(padded, 7, 5, "valid", activation="tanh"), 9, 3, "same", strides=2)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(7), hidden)
    return {"outputs": outputs, "last": hidden[:, -1]}


CASES: dict[str, Case] = {
    "rnn": _cell(lambda: rg.BasicRNNCell(7), 3),
    "rnn_1": _cell(lambda: rg.BasicRNNCell(1, activation="relu"), 1),
    "lstm": _cell(lambda: rg.LSTMCell(17, use_peepholes=True, num_proj=3), 7),
    "basic_lstm": _cell(lambda: rg.BasicLSTMCell(32), 25),
    "gru": _cell(lambda: rg.GRUCell(17), 3),
    "gru_reset_after": _cell(lambda: rg.GRUCell(25, reset_after=True), 7),
    "layer_norm": _cell(lambda: rg.LayerNormBasicLSTMCell(7), 17),
    "own": _cell(lambda: GatedCell(7), 3),
    "stack": _stack,
    "heads": _heads,
    "matrices": _matrices,
    "whole": _whole,
    "front": _front,
    "ahead": _ahead,
}


def program(name: str, dtype: str = "float32", **options: Any) -> rg.Program:
    """Return the program of a case, with random parameters, because initial biases of 0 would hide mistakes."""
    compiled = rg.compile(CASES[name](dtype), seed=5, cache=False, **options)
    numbers = np.random.default_rng(6)
    for key, array in list(compiled.parameters.items()):
        compiled.parameters[key] = array + numbers.normal(0, 0.1, array.shape).astype(array.dtype)
    return compiled


def feeds(program: rg.Program, batch: int, steps: int) -> Arrays:
    """Return feeds for every placeholder that the program reads."""
    numbers = np.random.default_rng(batch + 100 * steps)
    arrays: Arrays = {}
    for node in program.inference.graph.inputs:
        if node.op != "input":
            continue
        label = str(node["label"])
        shape = [{"B": batch, "T": steps}.get(str(dim), dim) for dim in node.shape]
        if label == "words":
            arrays[label] = numbers.integers(0, 11, shape)
        elif node.dtype == "int64":
            arrays[label] = numbers.integers(0, steps + 1, shape)
        else:
            arrays[label] = numbers.normal(0, 1, shape).astype(node.dtype)
    return arrays
