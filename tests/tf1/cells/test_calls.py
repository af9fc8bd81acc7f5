"""Cells that are called step by step, and subclasses of `RNNCell`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tf1_loops import drivers

import rnngraph as rg
from rnngraph import tf1 as tf

DATA = np.random.default_rng(3).normal(size=(2, 5, 3))


def evaluated(fetches: Any, feed: Any) -> Any:
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(fetches, feed)


def stepped(cell: Any, x: Any, state: Any, steps: int = 5) -> tuple[list[Any], list[Any]]:
    """Return outputs and states of a cell that is called for each step."""
    outputs, states = [], []
    for step in range(steps):
        output, state = cell(x[:, step], state)
        outputs.append(output)
        states.append(state)
    return outputs, states


def test_a_loop_is_the_driver_of_the_same_cell() -> None:
    x = tf.placeholder(tf.float64, [None, 5, 3])
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.LSTMCell(4), tf.nn.rnn_cell.GRUCell(2)])
    with tf.variable_scope("loop"):
        outputs, states = stepped(cell, x, cell.zero_state(tf.shape(x)[0], tf.float64))
    whole, last = tf.nn.dynamic_rnn(cell, x, dtype=tf.float64)  # reuses the variables of the Python loop
    names = [variable.name for variable in tf.trainable_variables()]
    assert names[0] == "loop/multi_rnn_cell/cell_0/lstm_cell/kernel:0"
    assert len(names) == 6
    assert [variable.name for variable in cell.variables] == names
    losses = [tf.reduce_sum(tf.square(item)) for item in (tf.stack(outputs, 1), whole)]
    gradients = [tf.gradients(loss, tf.trainable_variables()) for loss in losses]
    results = evaluated([tf.stack(outputs, 1), states[-1], gradients[0]], {x: DATA})
    expected = evaluated([whole, last, gradients[1]], {x: DATA})
    for one, other in zip(tf.nest.flatten(results), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_equal_steps_become_one_driver() -> None:
    x = tf.placeholder(tf.float32, [None, 5, 3])
    cell = tf.nn.rnn_cell.LSTMCell(4)
    outputs, states = stepped(cell, x, cell.zero_state(2, tf.float32))
    assert drivers(*outputs, states[-1].c) == [5]
    assert drivers(outputs[2]) == [3]  # unfetched parts need no feed
    assert drivers(outputs[-1], states[1].c) == [2, 3]  # fetching c between two steps ends a driver there
    assert drivers(outputs[-1], kept=[outputs[2]]) == [3, 2]  # a gradient by outputs[2] passes through the later steps
    above = tf.nn.rnn_cell.LSTMCell(4)
    upper, _ = stepped(above, tf.stack(outputs, 1), above.zero_state(2, tf.float32))
    assert drivers(*upper) == [5, 5]
    output, state = x[:, 0], cell.zero_state(2, tf.float32)
    for _ in range(3):
        output, state = cell(output[:, :3], state)
    assert drivers(output) == [3]  # each step reads the output of the previous step


def test_reversed_single_steps_become_a_driver_that_runs_forward() -> None:
    x = tf.placeholder(tf.float32, [2, 4, 3])
    cells = [tf.nn.rnn_cell.GRUCell(5) for _ in range(2)]
    states: Any = [cell.zero_state(2, tf.float32) for cell in cells]
    outputs = []
    for step in range(4):
        with tf.variable_scope("net", reuse=step > 0):
            (_, output), states = tf.nn.bidirectional_dynamic_rnn(
                *cells, x[:, step : step + 1], initial_state_fw=states[0], initial_state_bw=states[1]
            )
        outputs.append(output)
    assert drivers(*outputs) == [4]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        data = np.random.default_rng(0).normal(size=(2, 4, 3))
        together, last = session.run([outputs, states[1]], {x: data})
        first = session.run(outputs[0], {x: data})
    np.testing.assert_array_equal(together[0], first)
    np.testing.assert_array_equal(together[-1][:, 0], last)


def test_scopes_and_objects_name_variables() -> None:
    x = tf.placeholder(tf.float32, [None, 3])

    def step(cell: Any) -> Any:
        return cell(x, cell.zero_state(1, tf.float32))

    cell = tf.nn.rnn_cell.GRUCell(2)
    step(cell), step(cell), step(tf.nn.rnn_cell.GRUCell(2)), step(tf.nn.rnn_cell.GRUCell(2, name="named"))
    with tf.variable_scope("again", reuse=tf.AUTO_REUSE):
        step(tf.nn.rnn_cell.GRUCell(2))
    with tf.variable_scope("again", reuse=True):
        step(tf.nn.rnn_cell.DropoutWrapper(tf.nn.rnn_cell.GRUCell(2)))
        with pytest.raises(rg.ArgumentError, match=r"test_calls\.py:\d+: the variable again/lstm_cell/kernel"):
            step(tf.nn.rnn_cell.LSTMCell(2))
    with tf.variable_scope("again"), pytest.raises(rg.ArgumentError, match=r"already exists; .*AUTO_REUSE"):
        step(tf.nn.rnn_cell.GRUCell(2))
    step(tf.nn.rnn_cell.GRUCell(2, reuse=tf.AUTO_REUSE, name="named"))
    with tf.variable_scope("again"):
        step(tf.nn.rnn_cell.GRUCell(2, reuse=True))
        with pytest.raises(rg.ArgumentError, match="again/lstm_cell/kernel does not exist"):
            step(tf.nn.rnn_cell.LSTMCell(2, reuse=True))
    kernels = [variable.op.name for variable in tf.global_variables() if variable.op.name.endswith("gates/kernel")]
    assert [name.removesuffix("/gates/kernel") for name in kernels] == [
        "gru_cell",
        "gru_cell_1",
        "named",
        "again/gru_cell",
    ]


@pytest.mark.filterwarnings("ignore:.*drops units")
def test_cells_in_steps_of_loops() -> None:
    x = tf.placeholder(tf.float64, [None, 5, 3])
    cell = tf.nn.rnn_cell.DropoutWrapper(tf.nn.rnn_cell.LSTMCell(4), output_keep_prob=tf.constant(1.0, tf.float64))
    whole, last = tf.nn.dynamic_rnn(cell, x, dtype=tf.float64)
    steps, zero = tf.transpose(x, (1, 0, 2)), cell.zero_state(tf.shape(x)[0], tf.float64)
    scanned = tf.scan(lambda state, item: cell(item, state)[1], steps, initializer=zero)
    _, looped = tf.while_loop(lambda t, _: t < 5, lambda t, state: (t + 1, cell(steps[t], state)[1]), (0, zero))
    assert len(tf.trainable_variables()) == 2
    results = evaluated([whole, last, scanned, looped], {x: DATA})
    np.testing.assert_allclose(results[2].h, results[0].transpose(1, 0, 2), rtol=1e-12)
    for one, other in zip(results[1], results[3], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


class Plain(tf.nn.rnn_cell.RNNCell):
    """Cell with its own ``__call__``, which opens its scope itself."""

    state_size = output_size = 2

    def __init__(self) -> None:
        pass

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> Any:
        with tf.variable_scope(scope or "Plain"):
            kernel = tf.get_variable("kernel", [int(inputs.get_shape()[1]) + 2, 2], inputs.dtype)
            new = tf.tanh(tf.matmul(tf.concat([inputs, state], 1), kernel))
        return new, new


def test_a_cell_that_calls_itself_by_call() -> None:
    x = tf.placeholder(tf.float64, [None, 5, 3])
    cell = Plain()
    whole, last = tf.nn.dynamic_rnn(cell, x, dtype=tf.float64)
    outputs = []
    with tf.variable_scope("rnn", reuse=True):
        state = cell.zero_state(2, tf.float64)
        for step in range(5):
            output, state = cell(x[:, step], state)
            outputs.append(output)
    assert [variable.name for variable in tf.global_variables()] == ["rnn/Plain/kernel:0"]
    results = evaluated([whole, tf.stack(outputs, 1), last, state], {x: DATA})
    np.testing.assert_allclose(results[0], results[1], rtol=1e-13)
    np.testing.assert_allclose(results[2], results[3], rtol=1e-13)
    assert isinstance(tf.nn.rnn_cell.LSTMCell(3), tf.nn.rnn_cell.RNNCell)


class Doubled(tf.nn.rnn_cell.BasicLSTMCell):
    """Subclass of one of TensorFlow's cells."""

    def call(self, inputs: Any, state: Any) -> Any:
        output, new = super().call(inputs, state)
        return output * 2.0, new


def test_a_subclass_of_a_built_in_cell() -> None:
    x = tf.placeholder(tf.float64, [None, 5, 3])
    doubled, plain = Doubled(4), tf.nn.rnn_cell.BasicLSTMCell(4)
    with tf.variable_scope("net", reuse=tf.AUTO_REUSE):
        outputs, state = tf.nn.dynamic_rnn(doubled, x, dtype=tf.float64)
    assert state._fields == ("c", "h")
    with tf.variable_scope("net/rnn", reuse=True):
        expected, _ = stepped(tf.nn.rnn_cell.BasicLSTMCell(4, name="doubled"), x, plain.zero_state(2, tf.float64))
    results, other = evaluated([outputs, tf.stack(expected, 1)], {x: DATA})
    np.testing.assert_allclose(results, 2 * other, rtol=1e-13)


class Wordless(tf.nn.rnn_cell.RNNCell):
    """Cell without methods."""


class Sized(Wordless):
    state_size = output_size = 2


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda x: tf.nn.dynamic_rnn(Wordless(), x, dtype=tf.float32), "state_size"),
        (lambda x: tf.nn.dynamic_rnn(Sized(), x, dtype=tf.float32), r"call\(inputs, state\)"),
        (lambda x: tf.nn.rnn_cell.GRUCell(2)(x, x[:, 0]), r"must be \[batch, width\]"),
        (lambda x: tf.nn.rnn_cell.GRUCell(2)(3, x[:, 0]), r"must be a Tensor \[batch, width\]"),
        (lambda x: tf.nn.rnn_cell.GRUCell(2)(x[:, 0], x[:, 0]), "width 2"),
        (lambda x: tf.nn.rnn_cell.LSTMCell(2)(x[:, 0], x[:, 0]), "takes a nest"),
        (lambda x: tf.nn.rnn_cell.GRUCell(2)(x[:, 0], tf.zeros([1, 2]), scope=3), "scope must be a string"),
    ],
)
def test_mistakes_name_the_line(declare: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=rf"test_calls\.py:\d+: .*{message}"):
        declare(tf.placeholder(tf.float32, [None, 5, 3]))


def test_cells_of_users_may_have_attributes_of_these_names() -> None:
    class Weighted(rg.Cell):
        """Cell with attribute names that TensorFlow's layers compute."""

        def __init__(self) -> None:
            self.weights, self.variables = [1.0, 2.0, 3.0], {"a": 1}

        def state(self) -> int:
            return 3

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
            h = state * np.asarray(self.weights, np.float32) + x
            return h, h

    cell = Weighted()
    assert cell.weights == [1.0, 2.0, 3.0]
    outputs, _ = rg.dynamic_rnn(cell, rg.placeholder("x", (None, None, 3)))
    result = rg.compile(outputs).inference(x=np.ones((1, 2, 3)))
    np.testing.assert_array_equal(result[0], [[1, 1, 1], [2, 3, 4]])


def test_zero_state_equals_the_initial_states_of_inner_cells() -> None:
    """An ``AttentionWrapper`` in a stack begins with its ``initial_cell_state``, in drivers and in ``zero_state``."""
    x = tf.placeholder(tf.float64, [2, 5, 3])
    begin = tf.placeholder(tf.float64, [2, 4])
    attention = tf.contrib.seq2seq.BahdanauAttention(4, x, normalize=True)
    wrapper = tf.contrib.seq2seq.AttentionWrapper(
        tf.nn.rnn_cell.GRUCell(4), attention, output_attention=False, initial_cell_state=begin
    )
    stack = tf.nn.rnn_cell.MultiRNNCell([wrapper, tf.nn.rnn_cell.ResidualWrapper(tf.nn.rnn_cell.GRUCell(4))])
    zero = stack.zero_state(2, tf.float64)
    outputs, _ = tf.nn.dynamic_rnn(stack, x, initial_state=zero)
    same, _ = tf.nn.dynamic_rnn(stack, x, dtype=tf.float64)
    first = np.arange(8.0).reshape(2, 4)
    results, other, state = evaluated([outputs, same, zero], {x: DATA[:2], begin: first})
    np.testing.assert_array_equal(state[0].cell_state, first)
    np.testing.assert_array_equal(np.concatenate([state[0].attention, state[1]], 1), np.zeros((2, 7)))
    np.testing.assert_allclose(results, other, rtol=1e-12)


def test_a_cell_in_a_stack_begins_with_its_own_zero_state() -> None:
    class Begun(tf.nn.rnn_cell.GRUCell):
        def zero_state(self, batch_size: Any, dtype: Any) -> Any:
            return tf.fill([batch_size, 4], tf.cast(0.5, dtype))

    x = tf.placeholder(tf.float64, [2, 5, 3])
    stack = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.DropoutWrapper(Begun(4)), tf.nn.rnn_cell.GRUCell(2)])
    outputs, _ = tf.nn.dynamic_rnn(stack, x, dtype=tf.float64)
    explicit, _ = tf.nn.dynamic_rnn(stack, x, initial_state=(np.full((2, 4), 0.5), np.zeros((2, 2))))
    results, other, zero = evaluated([outputs, explicit, stack.zero_state(2, tf.float64)], {x: DATA[:2]})
    np.testing.assert_array_equal(zero[0], np.full((2, 4), 0.5))
    np.testing.assert_allclose(results, other, rtol=1e-12)


def test_scales_of_attention_are_scalars() -> None:
    """Scales are scalars in TensorFlow 1.15, so that its checkpoints fit."""
    x = tf.placeholder(tf.float32, [2, 5, 3])
    seq2seq = tf.contrib.seq2seq
    for attention in (seq2seq.BahdanauAttention(4, x, normalize=True), seq2seq.LuongAttention(4, x, scale=True)):
        wrapper = seq2seq.AttentionWrapper(tf.nn.rnn_cell.GRUCell(4), attention)
        tf.nn.dynamic_rnn(wrapper, x, dtype=tf.float32)
    scales = [item.shape.as_list() for item in tf.global_variables() if item.name.endswith("attention_g:0")]
    assert scales == [[], []]


def called_twice(cell: Any) -> None:
    state = cell.zero_state(2, tf.float32)
    for _ in range(2):
        _, state = cell(tf.ones([2, 3]), state)


def stacked_steps() -> None:
    called_twice(tf.nn.rnn_cell.MultiRNNCell([rg.shared(tf.nn.rnn_cell.BasicRNNCell(3))] * 2))


def steps_then_a_driver() -> None:
    cell = rg.shared(tf.nn.rnn_cell.BasicRNNCell(3))
    called_twice(cell)
    tf.nn.dynamic_rnn(cell, tf.ones([2, 4, 3]), dtype=tf.float32)


def steps_of_a_stack_then_a_driver() -> None:
    cell = rg.shared(tf.nn.rnn_cell.BasicRNNCell(3))
    with tf.variable_scope("first"):
        called_twice(tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.DropoutWrapper(cell, 0.5), cell]))
    tf.nn.dynamic_rnn(cell, tf.ones([2, 4, 3]), dtype=tf.float32)


@pytest.mark.parametrize(
    ("program", "scope"),
    [
        (stacked_steps, "multi_rnn_cell/cell_0/basic_rnn_cell"),
        (steps_then_a_driver, "basic_rnn_cell"),
        (steps_of_a_stack_then_a_driver, "first/multi_rnn_cell/cell_0/basic_rnn_cell"),
    ],
)
def test_a_shared_cell_has_the_names_of_a_cell_object_that_tensorflow_runs_twice(
    program: Callable[[], None], scope: str
) -> None:
    """The names are those of TensorFlow 1.15.5 for the same programs without ``rg.shared``."""
    program()
    assert [item.name for item in tf.trainable_variables()] == [f"{scope}/kernel:0", f"{scope}/bias:0"]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(tf.trainable_variables())[0].shape == (6, 3)
