"""Gradients by inner Tensors of a graph, through branches and feeds, against their definition."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

X = np.array([0.5, -1.0, 2.0], np.float32)


@pytest.fixture(autouse=True)
def _graph() -> None:
    tf.reset_default_graph()


def test_equal_tensors_have_a_gradient_each() -> None:
    x = tf.placeholder(tf.float32, [None])
    a, b = tf.sin(x), tf.sin(x)
    results = tf.gradients(tf.reduce_sum(a * a + 3.0 * b), [a, b, x])
    with tf.Session() as session:
        of_a, of_b, of_x = session.run(results, {x: X})
    np.testing.assert_allclose(of_a, 2 * np.sin(X), rtol=1e-5)
    np.testing.assert_allclose(of_b, [3, 3, 3], rtol=1e-6)
    np.testing.assert_allclose(of_x, (2 * np.sin(X) + 3) * np.cos(X), rtol=1e-5)


def test_tensors_of_one_value_have_a_gradient_each() -> None:
    x = tf.placeholder(tf.float32, [None])
    views = [tf.identity(x), tf.identity_n([x])[0], tf.reshape(x, [-1]), x * 1.0, x + 0.0]
    results = [tf.gradients(tf.reduce_sum(view * view * x), [view, x]) for view in views]
    with tf.Session() as session:
        for of_view, of_x in session.run(results, {x: X}):
            np.testing.assert_allclose(of_view, 2 * X * X, rtol=1e-5)
            np.testing.assert_allclose(of_x, 3 * X * X, rtol=1e-5)


def test_rows_of_two_equal_look_ups_count_once_in_a_norm() -> None:
    table = tf.Variable(np.arange(6, dtype=np.float32).reshape(3, 2))
    ids = tf.placeholder(tf.int32, [None])
    first, second = tf.nn.embedding_lookup(table, ids), tf.nn.embedding_lookup(table, ids)
    loss = tf.reduce_sum(tf.square(first)) + tf.reduce_sum(3.0 * second)
    norm = tf.global_norm(tf.gradients(loss, [table]))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        results = session.run(norm, {ids: [1, 1, 2]})
    rows = np.array([[2, 3], [2, 3], [4, 5]], np.float32)
    np.testing.assert_allclose(results, np.sqrt(np.sum((2 * rows) ** 2) + 9 * 6), rtol=1e-6)


def test_a_branch_that_is_not_taken_adds_no_nan_to_gradients() -> None:
    weights = tf.Variable([1.0, -2.0, 0.5])
    mask = tf.placeholder(tf.float32, [3])
    count, total = tf.reduce_sum(mask), tf.reduce_sum(mask * tf.square(weights))
    mean = tf.cond(count > 0, lambda: total / count, lambda: tf.constant(0.0))
    root = tf.cond(count > 0, lambda: tf.sqrt(total), lambda: total * 3.0)
    results = tf.gradients(mean + root, weights)[0]
    train = tf.train.GradientDescentOptimizer(0.1).minimize(mean)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_array_equal(session.run(results, {mask: [0, 0, 0]}), 0)
        session.run(train, {mask: [0, 0, 0]})
        of_mean = 2 * np.array([1, -2, 0]) / 2
        expected = of_mean + np.array([1, -2, 0]) / np.sqrt(5)
        np.testing.assert_allclose(session.run(results, {mask: [1, 1, 0]}), expected, rtol=1e-5)


def test_a_variable_read_in_a_branch_that_is_not_taken() -> None:
    value, condition = tf.Variable(0.0), tf.placeholder(tf.bool)
    results = tf.gradients(tf.cond(condition, lambda: tf.log(value), lambda: value * 3.0), value)[0]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(results, {condition: False}) == 3
        assert session.run(results, {condition: True}) == np.inf


def test_branches_within_branches_and_cases() -> None:
    x = tf.placeholder(tf.float32, [])
    inner = tf.cond(
        x > 0,
        lambda: tf.cond(x > 1, lambda: tf.log(x - 1.0), lambda: 1.0 / x),
        lambda: tf.cond(x < -1, lambda: 1.0 / (x + 1.0), lambda: x),
    )
    pairs = [(x > 2, lambda: tf.sqrt(x - 2.0)), (x >= 1, lambda: tf.sqrt(x - 1.0) * 2.0)]
    case = tf.case(pairs, default=lambda: x * x / (x - 1.0))
    results = [*tf.gradients(inner, x), *tf.gradients(case, x)]
    with tf.Session() as session:
        for number, expected in (
            (0.0, (1, 0)),
            (2.0, (1, 1)),
            (1.0, (-1, np.inf)),
            (-1.0, (1, 0.75)),
            (3.0, (0.5, 0.5)),
        ):
            np.testing.assert_allclose(session.run(results, {x: number}), expected, rtol=1e-6)


def test_a_gradient_through_a_fed_tensor_is_rejected() -> None:
    x = tf.placeholder(tf.float32, [None])
    weights = tf.Variable([1.0, 2.0, 3.0])
    hidden = tf.tanh(x * weights)
    loss = tf.reduce_sum(hidden * x)
    results = tf.gradients(loss, [x, hidden])
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(rg.ArgumentError, match=r"is fed, and the gradient .* passes through it to .*Placeholder"):
            session.run(results[0], {x: X, hidden: X})
        with pytest.raises(rg.ArgumentError, match=r"passes through it to .*; run without this feed"):
            session.run(train, {x: X, hidden: X})
        np.testing.assert_allclose(session.run(results[1], {x: X, hidden: X}), X)
        np.testing.assert_allclose(session.run(loss, {x: X, hidden: X}), np.sum(X * X))


def test_the_gradient_of_the_clip_of_a_block_cell_is_one() -> None:
    x = tf.placeholder(tf.float32, [None, None, 2])
    outputs, _ = tf.nn.dynamic_rnn(tf.contrib.rnn.LSTMBlockCell(1, cell_clip=0.01), x, dtype=tf.float32)
    kernel, _ = tf.trainable_variables()
    results = tf.gradients(tf.reduce_sum(outputs), x)[0]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        kernel.load(np.array([[0.3, 0.9, 0.2, 0], [0.1, 0.8, 0.4, 0], [0] * 4], np.float32), session)
        array = np.array([[[1.0, 1.0]]], np.float32)
        i, j = 1 / (1 + np.exp(-0.4)), np.tanh(1.7)
        slope = 0.5 * (1 - np.tanh(0.01) ** 2) * np.array([0.3 * i * (1 - i) * j, 0.1 * i * (1 - i) * j])
        slope += 0.5 * (1 - np.tanh(0.01) ** 2) * np.array([0.9, 0.8]) * i * (1 - j * j)
        np.testing.assert_allclose(session.run(results, {x: array})[0, 0], slope, rtol=1e-4)


def test_values_of_a_loop_that_several_read_give_all_of_their_gradients() -> None:
    """A training step differentiates a graph in which equal results of one loop are separate nodes."""
    ids = tf.placeholder(tf.int32, [4, 3])
    table = tf.get_variable("table", [7, 5], tf.float64)
    cell = tf.nn.rnn_cell.BasicRNNCell(5)
    state, outputs = cell.zero_state(4, tf.float64), []
    for rows in tf.unstack(tf.nn.embedding_lookup(table, ids), axis=1):
        output, state = cell(rows, state)
        outputs.append(output)
    loss = tf.reduce_sum(tf.square(tf.concat(outputs, 1) - 1.0))
    variables = tf.trainable_variables()
    gradients = [tf.convert_to_tensor(item) for item in tf.gradients(loss, variables)]
    limited, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), 1.0)
    train = tf.train.GradientDescentOptimizer(0.1).apply_gradients(list(zip(limited, variables, strict=True)))
    feed = {ids: np.arange(12).reshape(4, 3) % 7}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        alone = session.run(gradients, feed)
        _, *with_training = session.run([train, *gradients], feed)
        step, before = 1e-6, session.run(variables)
        moved = before[1].copy()
        moved[0, 0] += step
        variables[1].load(moved, session)
        up = session.run(loss, feed)
        moved[0, 0] -= 2 * step
        variables[1].load(moved, session)
        down = session.run(loss, feed)
        variables[1].load(before[1], session)
        (of_kernel,) = session.run([gradients[1]], feed)
    for one, other in zip(alone, with_training, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(of_kernel[0, 0], (up - down) / (2 * step), rtol=1e-6)
