"""Loops and branches: their results, bounds on the number of steps, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.ir.interpreter import interpret


@pytest.fixture
def session() -> Any:
    with tf.Session() as session:
        yield session


def recurrence(steps: int | None = None) -> tuple[Any, Any, Any]:
    """Return (x, outputs, loss) of a recurrence that is written as a loop."""
    x = tf.placeholder(tf.float32, [None, steps, 3], name="x")
    w = tf.get_variable("w", [7, 4])
    entries = tf.TensorArray(tf.float32, tf.shape(x)[1]).unstack(tf.transpose(x, [1, 0, 2]))

    def body(i: Any, h: Any, array: Any) -> Any:
        h = tf.tanh(tf.matmul(tf.concat([entries.read(i), h], 1), w))
        return i + 1, h, array.write(i, h)

    first = 0, tf.zeros([tf.shape(x)[0], 4]), tf.TensorArray(tf.float32, tf.shape(x)[1])
    _, last, array = tf.while_loop(lambda i, *_: i < tf.shape(x)[1], body, first)
    return x, tf.transpose(array.stack(), [1, 0, 2]), tf.reduce_mean(tf.square(last))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1, 1, 3), marks=pytest.mark.exhaustive),
        (2, 7, 3),
        pytest.param((17, 25, 3), marks=pytest.mark.exhaustive),
    ],
)
def test_a_loop_is_the_driver_of_its_cell(shape: tuple[int, ...], session: Any) -> None:
    """A loop has the bits and the gradients of a cell in a driver."""
    x, outputs, loss = recurrence()
    cell_outputs, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicRNNCell(4), x, dtype=tf.float32)
    w, kernel = (tf.global_variables()[place] for place in (0, 1))
    session.run(tf.global_variables_initializer())
    kernel.load(w.eval(), session)
    feed = {x: np.random.RandomState(0).randn(*shape)}
    gradients = tf.gradients(loss, [w, x])
    others = tf.gradients(tf.reduce_mean(tf.square(state)), [kernel, x])
    for one, other in zip([outputs, *gradients], [cell_outputs, *others], strict=True):
        np.testing.assert_array_equal(session.run(one, feed), session.run(other, feed))


def test_a_loop_is_compiled_saved_interpreted(tmp_path: Any) -> None:
    _x, outputs, loss = recurrence()
    program = rg.compile({"y": outputs}, loss=loss)
    feed = np.random.RandomState(1).randn(3, 5, 3).astype(np.float32)
    results = program.inference(x=feed)["y"]
    np.testing.assert_array_equal(program.training(x=feed, seed=1)["y"], results)
    program.save(tmp_path / "net")
    np.testing.assert_array_equal(rg.load(tmp_path / "net").inference(x=feed)["y"], results)
    values = {**dict(program.parameters), "x": feed}
    np.testing.assert_allclose(interpret(program.inference.graph, values)["y"], results, atol=1e-6)
    before = program.evaluate(x=feed)["loss"]
    trainer = rg.Trainer(program, rg.Adam(0.05))
    for _ in range(10):
        trainer.step(x=feed)
    assert program.evaluate(x=feed)["loss"] < before
    with pytest.raises(rg.GraphError, match="can't be streamed"):
        program.inference.stream()


def test_a_loop_ends_by_a_computed_condition(session: Any) -> None:
    limit = tf.placeholder(tf.float32, [])
    count, value, array = tf.while_loop(
        lambda i, v, a: v < limit,
        lambda i, v, a: (i + 1, v * 2.0, a.write(i, v)),
        (3, 1.0, tf.TensorArray(tf.float32, 9)),
    )
    for at in (0.5, 1.5, 8.0, 9.0, 1e9):
        expected = [1.0]
        while expected[-1] < at and len(expected) < 7:
            expected.append(expected[-1] * 2)
        steps = len(expected) - 1
        results = session.run([count, value, array.stack()], {limit: at})
        assert results[:2] == [3 + steps, expected[-1]]
        np.testing.assert_array_equal(results[2], [0] * 3 + expected[:steps] + [0] * (6 - steps))


def test_bounds_of_loops(session: Any) -> None:
    """Check each kind of bound on the number of steps."""
    x = tf.placeholder(tf.float32, [None, 5])

    def steps(cond: Any, **options: Any) -> Any:
        return tf.while_loop(cond, lambda i, s: (i + 1, s + 0.5), (tf.constant(2), tf.constant(0.0)), **options)[0]

    counts = [
        steps(lambda i, s: i < 6),
        steps(lambda i, s: i <= 6),
        steps(lambda i, s: tf.less(i, tf.shape(x)[0] + 1)),
        steps(lambda i, s: tf.logical_and(i < 9, i < 5)),
        steps(lambda i, s: i < 1),
        steps(lambda i, s: s < 1.6, maximum_iterations=9),
        steps(lambda i, s: True, maximum_iterations=3),
        steps(lambda i, s: tf.logical_and(i < tf.shape(x)[0], i < 5)),
        steps(lambda i, s: i < 8, maximum_iterations=tf.shape(x)[0]),
    ]
    assert session.run(counts, {x: np.zeros((6, 5))}) == [6, 7, 7, 5, 2, 6, 5, 5, 8]
    assert session.run(counts[2], {x: np.zeros((25, 5))}) == 26


def test_arrays_outside_of_loops(session: Any) -> None:
    array = tf.TensorArray(tf.float32, size=3, dynamic_size=True)
    array = array.write(0, [1.0, 2.0]).write(2, tf.constant([5.0, 6.0])).write(3, [7.0, 8.0])
    np.testing.assert_array_equal(session.run(array.stack()), [[1, 2], [0, 0], [5, 6], [7, 8]])
    assert session.run([array.size(), array.read(2)[1], array.concat()[-1]]) == [4, 6, 8]
    np.testing.assert_array_equal(session.run(array.gather([3, 0])), [[7, 8], [1, 2]])
    parts = tf.TensorArray(tf.float32, 2).split(tf.range(6.0), [3, 3])
    np.testing.assert_array_equal(session.run(parts.read(1)), [3, 4, 5])
    spread = tf.TensorArray(tf.float32, 4).scatter([1, 3], tf.ones([2, 2]))
    np.testing.assert_array_equal(session.run(spread.stack())[:, 0], [0, 1, 0, 1])
    tail = tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a.write(i, tf.zeros([2]))), (1, array))[1]
    np.testing.assert_array_equal(session.run(tail.stack())[:, 0], [1, 0, 0, 7])


def test_steps_read_an_array_that_was_written_before_the_loop(session: Any) -> None:
    array = tf.TensorArray(tf.float32, 3)
    for number in (0, 2):
        array = array.write(number, number + 1.0)
    _, total, after = tf.while_loop(lambda i, v, a: i < 3, lambda i, v, a: (i + 1, v + a.read(i), a), (0, 0.0, array))
    assert session.run(total) == 4
    np.testing.assert_array_equal(session.run(after.stack()), [1, 0, 3])


def test_loops_within_loops_and_layers_in_steps(session: Any) -> None:
    x = tf.placeholder(tf.float32, [None, 3, 2])
    summed = tf.map_fn(lambda rows: tf.scan(lambda a, row: a + row, rows), x)
    dense = tf.map_fn(lambda row: tf.layers.dense(row, 4, name="shared"), x)
    loss = tf.reduce_sum(dense)
    names = [variable.name for variable in tf.trainable_variables()]
    assert names == ["shared/kernel:0", "shared/bias:0"]
    data = np.random.RandomState(2).randn(5, 3, 2).astype(np.float32)
    session.run(tf.global_variables_initializer())
    np.testing.assert_allclose(session.run(summed, {x: data}), np.cumsum(data, 1), rtol=1e-5, atol=1e-6)
    kernel, bias = session.run(tf.trainable_variables())
    np.testing.assert_allclose(session.run(dense, {x: data}), data @ kernel + bias, rtol=1e-5, atol=1e-6)
    gradient = session.run(tf.gradients(loss, tf.trainable_variables()), {x: data})
    np.testing.assert_allclose(gradient[1], np.full(4, 15.0))


def test_a_branch_is_chosen_by_a_python_bool_too(session: Any) -> None:
    assert session.run(tf.cond(True, lambda: tf.constant(1), lambda: tf.constant(2))) == 1
    index = tf.placeholder(tf.int32, [])
    chosen = tf.switch_case(index, [lambda: tf.constant(3), lambda: tf.constant(4), lambda: tf.constant(5)])
    assert [session.run(chosen, {index: number}) for number in (0, 1, 2, 7, -1)] == [3, 4, 5, 5, 5]


X = np.zeros((2, 3), np.float32)
REFUSED: dict[str, Any] = {
    "depends on the data": lambda: tf.while_loop(lambda v: v < 3.0, lambda v: v + 1.0, [0.0]),
    "must keep its dtype": lambda: tf.while_loop(
        lambda i, v: i < 3, lambda i, v: (i + 1, tf.concat([v, v], 0)), (0, X)
    ),
    "return Tensors from": lambda: tf.while_loop(lambda i: i < 3, lambda i: None, [0]),
    "body must return 2 next values": lambda: tf.while_loop(lambda i, v: i < 3, lambda i, v: i + 1, (0, X)),
    "cond must return a single bool": lambda: tf.while_loop(lambda i: i, lambda i: i + 1, [0]),
    "the operation": lambda: tf.cond(tf.constant(True), lambda: tf.no_op(), lambda: tf.constant(1)),
    "one dtype and one shape": lambda: tf.cond(tf.constant(True), lambda: 1.0, lambda: X),
    "an array that was empty before the loop": lambda: tf.while_loop(
        lambda i, a: i < 3, lambda i, a: (i + 1, a.write(i, a.read(i - 1))), (1, tf.TensorArray(tf.float32, 4))
    ),
    "an index that is not a counter": lambda: tf.while_loop(
        lambda i, a: i < 3, lambda i, a: (i + 1, a.write(i * 2, 1.0)), (1, tf.TensorArray(tf.float32, 9))
    ),
    "a step writes several entries": lambda: tf.while_loop(
        lambda i, a: i < 3, lambda i, a: (i + 1, a.write(i, 1.0).write(i + 1, 2.0)), (0, tf.TensorArray(tf.float32, 9))
    ),
    "read an array that they write": lambda: tf.while_loop(
        lambda i, a: i < 3,
        lambda i, a: (i + 1, a.write(i, a.read(i) + 1.0)),
        (0, tf.TensorArray(tf.float32, 3).unstack(X)),
    ),
    "2 and 3 entries; pass Tensors with": lambda: tf.map_fn(lambda v: v[0], (X, np.zeros(3, np.float32))),
    "a growing array": lambda: tf.while_loop(
        lambda i, v, a: tf.logical_and(i < 3, v < 9.0),
        lambda i, v, a: (i + 1, v, a.write(i, v)),
        (0, 1.0, tf.TensorArray(tf.float32, 0, dynamic_size=True)),
    ),
    "of size 2; set size=": lambda: tf.while_loop(
        lambda i, a: i < 5, lambda i, a: (i + 1, a.write(i, 1.0)), (0, tf.TensorArray(tf.float32, 2))
    ),
    "fn returns 2 Tensors": lambda: tf.map_fn(lambda v: (v, v), X),
    "fn is called with": lambda: tf.map_fn(lambda v, w: v, X),
    "body is called with": lambda: tf.while_loop(lambda *_: True, lambda i: i, (0, X)),
    "must be a function": lambda: tf.scan("fn", X),
    "has none": lambda: tf.map_fn(lambda v: v, 3.0),
    "tf.gradients in a step": lambda: tf.map_fn(lambda v: tf.gradients(tf.reduce_sum(v * v), v)[0], tf.constant(X)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_unsupported_loops_are_errors_with_line_and_remedy(message: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=message) as caught:
        REFUSED[message]()
    assert "test_loops.py:" in str(caught.value)
