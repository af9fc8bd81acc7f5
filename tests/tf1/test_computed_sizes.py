"""Sizes that a run computes before the native call, from fed numbers and variables."""

from __future__ import annotations

import numpy as np
import pytest

from rnngraph import tf1 as tf
from rnngraph.support.errors import RnnGraphError, ShapeError


@pytest.fixture(autouse=True)
def _anew() -> None:
    tf.reset_default_graph()


def test_every_function_that_takes_a_shape() -> None:
    rows, x = tf.placeholder(tf.int32, []), tf.placeholder(tf.float32, [None, 3])
    both = tf.stack([rows, 2])
    built = [
        tf.zeros([rows, 2]),
        tf.ones(both),
        tf.fill([rows], 7),
        tf.range(rows),
        tf.range(1, rows + 1),
        tf.tile(tf.constant([[1.0, 2.0]]), [rows, 1]),
        tf.broadcast_to(tf.constant([1.0, 2.0]), both),
        tf.reshape(x, [rows, 3]),
        tf.reshape(x, [rows, -1, 1]),
        tf.concat([tf.zeros([rows, 1]), x], 1),
    ]
    drawn = [tf.random_normal([rows, 2]), tf.random_uniform(both), tf.truncated_normal([rows, 2])]
    with tf.Session() as sess:
        for count in (4, 1, 6):
            data = np.arange(count * 3.0).reshape(count, 3)
            results = sess.run(built, {rows: count, x: data})
            expected = [
                np.zeros((count, 2)),
                np.ones((count, 2)),
                np.full(count, 7),
                np.arange(count),
                np.arange(1, count + 1),
                np.tile([[1.0, 2.0]], (count, 1)),
                np.tile([[1.0, 2.0]], (count, 1)),
                data,
                data[:, :, None],
                np.concatenate([np.zeros((count, 1)), data], 1),
            ]
            for a, b in zip(results, expected, strict=True):
                np.testing.assert_array_equal(a, b)
            assert {item.shape for item in sess.run(drawn, {rows: count})} == {(count, 2)}


def test_masks_are_as_long_as_the_longest_row() -> None:
    lengths = tf.placeholder(tf.int32, [None])
    mask = tf.sequence_mask(lengths, dtype=tf.float32)
    with tf.Session() as sess:
        for row_lengths in ([1, 3, 2], [5], [0, 4]):
            expected = np.arange(max(row_lengths)) < np.array(row_lengths)[:, None]
            np.testing.assert_array_equal(sess.run(mask, {lengths: row_lengths}), expected)


def test_loops_of_as_many_steps_as_are_fed() -> None:
    count, x = tf.placeholder(tf.int32, []), tf.placeholder(tf.float32, [2])
    step = tf.get_variable("step", [2])
    number, doubled = tf.while_loop(
        lambda i, _: i < count, lambda i, h: (i + 1, h * step), [tf.constant(0), x], back_prop=True
    )
    gradient = tf.gradients(tf.reduce_sum(doubled), step)[0]
    with tf.Session() as sess:
        sess.run(step.initializer)
        step.load([2.0, 3.0], sess)
        for steps in (3, 0, 5):
            results = sess.run([number, doubled, gradient], {count: steps, x: [1.0, 2.0]})
            np.testing.assert_allclose(results[1], [2.0**steps, 2 * 3.0**steps])
            np.testing.assert_allclose(results[2], [steps * 2.0 ** (steps - 1), 2 * steps * 3.0 ** (steps - 1)])
            assert results[0] == steps


def test_a_state_has_the_rows_of_a_variable() -> None:
    rows = tf.Variable(3, trainable=False)
    state = tf.nn.rnn_cell.BasicLSTMCell(2).zero_state(rows, tf.float32)
    with tf.Session() as sess:
        sess.run(rows.initializer)
        assert sess.run(state).c.shape == (3, 2)
        sess.run(tf.assign(rows, 5))
        assert sess.run(state).h.shape == (5, 2)


def test_errors_name_the_mistake() -> None:
    rows, x = tf.placeholder(tf.int32, []), tf.placeholder(tf.float32, [None, 4, 3])
    flat = tf.reshape(x, [rows, 12])
    with tf.Session() as sess:
        with pytest.raises(ShapeError, match="equal"):
            sess.run(flat, {rows: 3, x: np.zeros((2, 4, 3))})
        with pytest.raises(RnnGraphError, match="must not be negative"):
            sess.run(flat, {rows: -3, x: np.zeros((2, 4, 3))})
        with pytest.raises(RnnGraphError, match="Placeholder"):
            sess.run(flat, {x: np.zeros((2, 4, 3))})
    with pytest.raises(ShapeError, match="from its feeds"):
        tf.zeros(tf.random_uniform([2], 1, 5, tf.int32))


def test_sizes_of_much_that_is_read_again() -> None:
    """Each operand of a size is visited once, even if it is used often and in deep nests."""
    count = tf.placeholder(tf.int32, [])
    doubled = deep = count
    for _ in range(30):
        doubled = doubled + doubled * 0
    for _ in range(2000):
        deep = deep + 1
    with tf.Session() as sess:
        assert [x.shape for x in sess.run([tf.zeros([doubled, 2]), tf.zeros([deep])], {count: 3})] == [(3, 2), (2003,)]


def test_the_result_of_a_loop_is_no_size() -> None:
    _, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(3), tf.placeholder(tf.float32, [2, 4, 3]), dtype=tf.float32)
    with pytest.raises(ShapeError, match="can't be a size"):
        tf.range(state + 1.0)
    with pytest.raises(RnnGraphError, match=r"initial_value of tf\.Variable is called with"):
        tf.Variable(tf.nn.rnn_cell.GRUCell(3))


def test_rows_become_sizes_that_are_fed() -> None:
    with tf.Graph().as_default():
        x, rows, steps = tf.placeholder("float32", [None, 3]), tf.placeholder("int32", []), tf.placeholder("int32", [])
        parted = tf.reshape(x, [rows, steps, 3])
        data = np.arange(24, dtype=np.float32).reshape(8, 3)
        with tf.Session() as sess:
            np.testing.assert_array_equal(sess.run(parted, {x: data, rows: 2, steps: 4}), data.reshape(2, 4, 3))
            with pytest.raises(RnnGraphError, match="Placeholder"):
                sess.run(parted, {x: data, rows: 3, steps: 4})


def test_counts_of_padding_are_computed_from_known_sizes() -> None:
    with tf.Graph().as_default():
        x = tf.placeholder("float32", [None, 5, 2])
        padded = tf.pad(x, [[0, 0], [0, 3 - (tf.shape(x)[1] + 3) % 4], [0, 0]])
        assert padded.shape.as_list() == [None, 8, 2]
