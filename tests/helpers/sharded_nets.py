"""Nets whose batches can be split into shards, with their feeds and users' kinds of losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import rnngraph as rg

Feeds = dict[str, Any]


class Net(NamedTuple):
    """Program with a loss, and a function of (generator, rows) that returns a batch for it."""

    program: rg.Program
    feeds: Callable[[np.random.Generator, int], Feeds]


def classifier(dtype: str = "float32", **options: Any) -> Net:
    """Return a net with both forms of dropout and lengths. Its loss is a mean over rows plus a penalty of weights."""
    x, n = rg.placeholder("x", (None, None, 3), dtype), rg.placeholder("n", (None,), "int32")
    y = rg.placeholder("y", (None,), "int32")
    cells = [
        rg.DropoutWrapper(rg.GRUCell(7), output_keep_prob=0.5),
        rg.DropoutWrapper(rg.LSTMCell(7), output_keep_prob=0.6, state_keep_prob=0.8, variational_recurrent=True),
    ]
    _, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, sequence_length=n)
    logits = rg.dense(states[1].h, 3)
    penalty = rg.reduce_sum(rg.square(rg.dense(rg.constant(np.ones((1, 4), dtype)), 5, name="penalty")))
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits) + 1e-3 * penalty

    def feeds(numbers: np.random.Generator, rows: int) -> Feeds:
        return {
            "x": numbers.normal(size=(rows, 9, 3)).astype(dtype),
            "n": numbers.integers(1, 10, rows).astype(np.int32),
            "y": numbers.integers(0, 3, rows).astype(np.int32),
        }

    return Net(rg.compile({"logits": logits}, loss, seed=3, **options), feeds)


def tagger(dtype: str = "float32") -> Net:
    """Return a bidirectional net whose loss adds a mean over real steps to a mean over merged rows and steps."""
    x, n = rg.placeholder("x", (None, None, 4), dtype), rg.placeholder("n", (None,), "int32")
    y = rg.placeholder("y", (None, None), "int32")
    both, _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(5), rg.GRUCell(5), x, sequence_length=n)
    outputs = rg.concat(both, 2)
    logits = rg.dense(outputs, 4)
    flat = rg.dense(rg.dropout(rg.reshape(outputs, [-1, 10]), 0.3), 4, name="flat")
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits, lengths=n)
    loss += rg.sparse_softmax_cross_entropy(labels=rg.reshape(y, [-1]), logits=flat)

    def feeds(numbers: np.random.Generator, rows: int) -> Feeds:
        return {
            "x": numbers.normal(size=(rows, 6, 4)).astype(dtype),
            "n": numbers.integers(1, 7, rows).astype(np.int32),
            "y": numbers.integers(0, 4, (rows, 6)).astype(np.int32),
        }

    return Net(rg.compile({"logits": logits}, loss, seed=3), feeds)


def forecaster(dtype: str = "float32") -> Net:
    """Return a time-major net whose states can be carried. Its loss is a mean over rows, weighted by a feed."""
    x, y = rg.placeholder("x", (None, None, 2), dtype), rg.placeholder("y", (None, None, 1), dtype)
    weight = rg.placeholder("weight", (None,), dtype)
    outputs, state = rg.dynamic_rnn(rg.BasicRNNCell(6), x, time_major=True)
    predictions = rg.dense(outputs, 1)
    errors = rg.reduce_sum(rg.square(predictions - y), [0, 2])
    loss = rg.reduce_sum(errors * weight) / rg.maximum(rg.reduce_sum(weight), 1e-3)

    def feeds(numbers: np.random.Generator, rows: int) -> Feeds:
        return {
            "x": numbers.normal(size=(11, rows, 2)).astype(dtype),
            "y": numbers.normal(size=(11, rows, 1)).astype(dtype),
            "weight": numbers.uniform(0.1, 2, rows).astype(dtype),
        }

    return Net(rg.compile({"predictions": predictions, "state": state}, loss, seed=3), feeds)


def translator(dtype: str = "float32") -> Net:
    """Return a decoder that attends to an encoder, with dropout of its input; words are rows of tables."""
    words, n = rg.placeholder("words", (None, None), "int32"), rg.placeholder("n", (None,), "int32")
    given, wanted = rg.placeholder("given", (None, None), "int32"), rg.placeholder("wanted", (None, None), "int32")
    m = rg.placeholder("m", (None,), "int32")
    table = rg.parameter("words_table", (11, 5), dtype=dtype)
    memory, state = rg.dynamic_rnn(rg.GRUCell(6), rg.embedding(words, table), sequence_length=n, scope="encoder")
    cell = rg.DropoutWrapper(rg.GRUCell(6), input_keep_prob=0.7)
    attention = rg.LuongAttention(6, memory, n)
    table = rg.parameter("given_table", (9, 5), dtype=dtype)
    outputs, _ = rg.dynamic_rnn(
        rg.AttentionWrapper(cell, attention, initial_cell_state=state), rg.embedding(given, table), sequence_length=m
    )
    logits = rg.dense(outputs, 9)
    loss = rg.sparse_softmax_cross_entropy(labels=wanted, logits=logits, lengths=m)

    def feeds(numbers: np.random.Generator, rows: int) -> Feeds:
        return {
            "words": numbers.integers(0, 11, (rows, 7)).astype(np.int32),
            "n": numbers.integers(1, 8, rows).astype(np.int32),
            "given": numbers.integers(0, 9, (rows, 5)).astype(np.int32),
            "wanted": numbers.integers(0, 9, (rows, 5)).astype(np.int32),
            "m": numbers.integers(1, 6, rows).astype(np.int32),
        }

    return Net(rg.compile({"logits": logits}, loss, seed=3), feeds)


def speller(dtype: str = "float32") -> Net:
    """Return a net with CTC loss, after a convolution and a residual cell."""
    x, letters = rg.placeholder("x", (None, None, 3), dtype), rg.placeholder("letters", (None, 2), "int32")
    frames, n = rg.relu(rg.conv1d(x, 5, 3)), rg.placeholder("n", (None,), "int32")
    outputs, _ = rg.dynamic_rnn(rg.ResidualWrapper(rg.BasicLSTMCell(5)), rg.dropout(frames, 0.8), sequence_length=n)
    logits = rg.dense(outputs, 4)
    loss = rg.ctc_loss(letters, logits, logit_lengths=n)

    def feeds(numbers: np.random.Generator, rows: int) -> Feeds:
        return {
            "x": numbers.normal(size=(rows, 9, 3)).astype(dtype),
            "letters": numbers.integers(1, 4, (rows, 2)).astype(np.int32),
            "n": numbers.integers(5, 10, rows).astype(np.int32),
        }

    return Net(rg.compile({"logits": logits}, loss, seed=3), feeds)


NETS = (classifier, tagger, forecaster, translator, speller)

CARRIED = (classifier, forecaster, speller)
"""Nets whose states can be carried from step to step: none has a backward recurrence or an initial state of its own."""
