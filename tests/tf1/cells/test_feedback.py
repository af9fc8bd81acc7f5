"""Python loops whose steps read a function of the previous step: results as one driver and step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tf1_loops import drivers

from rnngraph import tf1 as tf
from rnngraph.tf1.core.rolling.feedback import Feedback

STEPS, UNITS, WORDS, KIND = 5, 4, 6, tf.float64
Loop = Callable[[Any, Any], list[Any]]


def parts() -> tuple[Any, Any, Any]:
    """Return a table, a function to scores of words, and a cell."""
    table = tf.get_variable("table", [WORDS, 3], KIND)
    w = tf.get_variable("w", [UNITS, WORDS], KIND)
    return table, lambda output: tf.matmul(output, w) + 0.5, tf.nn.rnn_cell.LSTMCell(UNITS)


def greedy(x: Any, rows: Any) -> list[Any]:
    """Feed back the best word."""
    table, scores, cell = parts()
    fed, state, results = x[:, 0], cell.zero_state(rows, KIND), []
    for _ in range(STEPS):
        output, state = cell(fed, state)
        results.append(scores(output))
        fed = tf.nn.embedding_lookup(table, tf.argmax(results[-1], 1))
    return [*results, state.c]


def helped(x: Any, rows: Any) -> list[Any]:
    """Read a separate input of each step in addition to the feedback. Intermediate states are read."""
    _, scores, cell = parts()
    back, state, results = tf.zeros([rows, 3], KIND), cell.zero_state(rows, KIND), []
    for step in range(STEPS):
        output, state = cell(x[:, step] * 0.5 + back, state)
        back = tf.tanh(state.c[:, :3] + output[:, 1:])
        results += [state.c, back] if step % 2 else [scores(output)]
    return results


def attends(x: Any, rows: Any) -> list[Any]:
    """Attend to all inputs with the state. The upper of two layers is not part of the feedback."""
    _, scores, cell = parts()
    query, above = tf.get_variable("query", [UNITS, 3], KIND), tf.nn.rnn_cell.GRUCell(3)
    context, state, top, results = x[:, 0], cell.zero_state(rows, KIND), above.zero_state(rows, KIND), []
    for step in range(STEPS):
        output, state = cell(tf.concat([x[:, step], context], 1), state)
        weights = tf.nn.softmax(tf.reduce_sum(x * tf.expand_dims(tf.matmul(state.h, query), 1), 2))
        context = tf.reduce_sum(x * tf.expand_dims(weights, 2), 1)
        shown, top = above(tf.concat([output, context], 1), top)
        results += [scores(output), shown]
    return [*results, weights]


def late(x: Any, rows: Any) -> list[Any]:
    """From the third step on, feed back the output of two steps earlier, so that adjacent steps are independent."""
    _, scores, cell = parts()
    fed, state, results = x[:, 0], cell.zero_state(rows, KIND), []
    for step in range(STEPS):
        output, state = cell(fed, state)
        results.append(output)
        fed = tf.tanh(results[-2 if step > 1 else -1][:, :3])
    return [scores(output) for output in results]


def remembers(x: Any, rows: Any) -> list[Any]:
    """Write to a memory, and read the memory. Later writes read a trace of earlier writes."""
    _, scores, cell = parts()
    state, results = cell.zero_state(rows, KIND), []
    memory = tf.tile(tf.expand_dims(tf.get_variable("memory", [6, 3], KIND), 0), [rows, 1, 1])
    read, trace = x[:, 0] * 0.1, tf.tanh(x[:, 1])
    for step in range(STEPS):
        output, state = cell(tf.concat([x[:, step], read], 1), state)
        weights = tf.expand_dims(tf.nn.softmax(scores(output)), 2)
        read = tf.reduce_sum(memory * weights, 1)
        trace = 0.5 * trace + tf.sigmoid(output[:, :3])
        memory = memory * (1.0 - weights) + tf.matmul(weights, tf.expand_dims(trace, 1))
        results += [read] if step > 2 else []
    return [*results, memory, trace]


LOOPS: dict[str, tuple[Loop, list[int]]] = {
    "greedy": (greedy, [STEPS]),
    "helped": (helped, [STEPS]),
    "attends": (attends, [STEPS, STEPS]),
    "late": (late, [2, 3]),
    "remembers": (remembers, [STEPS]),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("rows", [None, 3])
@pytest.mark.parametrize("name", LOOPS)
def test_numbers_and_gradients_are_those_of_single_steps(
    name: str, rows: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, lengths = LOOPS[name]
    data = np.random.default_rng(1).normal(size=(3, STEPS, 3))
    results = []
    for alone in (False, True):
        if alone:
            monkeypatch.setattr(Feedback, "replacements", lambda self: {})
        with tf.Graph().as_default():
            tf.set_random_seed(3)
            x = tf.placeholder(KIND, [rows, STEPS, 3])
            outputs = loop(x, tf.shape(x)[0] if rows is None else rows)
            loss = tf.add_n([tf.reduce_sum(tf.square(output) * (1.0 + place)) for place, output in enumerate(outputs)])
            gradients = [item for item in tf.gradients(loss, tf.trainable_variables()) if item is not None]
            train = tf.train.GradientDescentOptimizer(0.001).minimize(loss)
            found_lengths = sorted(drivers(*outputs))
            assert (found_lengths == lengths) is not alone
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                values = session.run([outputs, gradients, loss], {x: data})
                losses = [session.run([train, loss], {x: data})[1] for _ in range(3)]
                results.append([*values[0], *values[1], values[2], *losses])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_loops_that_stay_unrolled() -> None:
    x = tf.placeholder(tf.float32, [None, STEPS, 3])
    rows = tf.shape(x)[0]
    weights = [tf.get_variable(f"w{step}", [UNITS, 3]) for step in range(STEPS)]

    def loop(link: Callable[[int, list[Any]], Any]) -> list[Any]:
        cell = tf.nn.rnn_cell.GRUCell(UNITS)
        fed, state, outputs = x[:, 0], cell.zero_state(rows, tf.float32), list[Any]()
        for step in range(STEPS):
            output, state = cell(fed, state)
            outputs.append(output)
            fed = link(step, outputs)
        return outputs

    single = [1] * STEPS
    assert drivers(*loop(lambda step, outputs: outputs[-1][:, :3] + tf.random_normal([3]))) == single
    assert drivers(*loop(lambda step, outputs: tf.matmul(outputs[-1], weights[step]))) == single
    assert drivers(*loop(lambda step, outputs: outputs[-1][:, :3] * float(step))) == single
    assert drivers(*loop(lambda step, outputs: (tf.tanh if step < 3 else tf.nn.relu)(outputs[-1][:, :3]))) == [4, 1]
    outputs = loop(lambda step, outputs: outputs[-1][:, :3])
    assert drivers(*outputs) == [STEPS]
    assert drivers(outputs[-1], kept=[outputs[1]]) != [STEPS]
    assert drivers(outputs[1]) == [1, 1]
