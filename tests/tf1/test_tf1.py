"""`rnngraph.tf1`: TensorFlow 1.x declarations run unchanged, and names that are not offered have a remedy."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.table.entries import table
from rnngraph.tf1.table.missing import not_offered

# Programs of TensorFlow 1.0 repeat one cell object in a stack; one warning reports it.
pytestmark = pytest.mark.filterwarnings("ignore:.*one cell object is used at")

n_steps, n_inputs, n_neurons, n_layers = 5, 3, 7, 3
STACK = reference.Stack((reference.RNN(n_neurons),) * n_layers)
WIDTHS = [n_inputs + n_neurons, 2 * n_neurons, 2 * n_neurons]


def batch(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def check_stack(program: rg.Program, X: rg.Tensor) -> None:
    """Check three layers with separate weights, and their outputs."""
    kernels = [program.parameters[f"rnn/multi_rnn_cell/cell_{layer}/basic_rnn_cell/kernel"] for layer in range(3)]
    assert [kernel.shape for kernel in kernels] == [(width, n_neurons) for width in WIDTHS]
    assert not np.array_equal(kernels[1], kernels[2])
    x = batch(4, n_steps, n_inputs)
    result = program.inference({X: x})
    outputs, states = reference.dynamic_rnn(STACK, program.parameters, x)
    np.testing.assert_allclose(result["outputs"], outputs, rtol=1e-5, atol=1e-6)
    results = result["states"] if isinstance(result["states"], tuple) else np.split(result["states"], n_layers, axis=1)
    for state, expected in zip(results, states, strict=True):
        np.testing.assert_allclose(state, expected, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------- scripts as they are written


def test_one_cell_at_every_position() -> None:
    X = tf.placeholder(tf.float32, [None, n_steps, n_inputs])
    basic_cell = tf.contrib.rnn.BasicRNNCell(num_units=n_neurons)
    multi_layer_cell = tf.contrib.rnn.MultiRNNCell([basic_cell] * n_layers)
    outputs, states = tf.nn.dynamic_rnn(multi_layer_cell, X, dtype=tf.float32)

    assert len(states) == n_layers
    check_stack(rg.compile({"outputs": outputs, "states": states}), X)


def test_a_list_of_distinct_cells() -> None:
    X = tf.placeholder(tf.float32, [None, n_steps, n_inputs])
    layers = [tf.nn.rnn_cell.BasicRNNCell(num_units=n_neurons, activation=tf.nn.tanh) for layer in range(n_layers)]
    multi_layer_cell = tf.nn.rnn_cell.MultiRNNCell(layers)
    outputs, states = tf.nn.dynamic_rnn(multi_layer_cell, X, dtype=tf.float32)

    check_stack(rg.compile({"outputs": outputs, "states": states}), X)


def test_one_state_for_the_whole_stack() -> None:
    X = tf.placeholder(tf.float32, [None, n_steps, n_inputs])
    basic_cell = tf.contrib.rnn.BasicRNNCell(num_units=n_neurons)
    multi_layer_cell = tf.contrib.rnn.MultiRNNCell([basic_cell] * n_layers, state_is_tuple=False)
    outputs, states = tf.nn.dynamic_rnn(multi_layer_cell, X, dtype=tf.float32)

    assert states.shape == (None, n_layers * n_neurons)
    check_stack(rg.compile({"outputs": outputs, "states": states}), X)


@pytest.mark.parametrize("kind", ["input", "output"])
@pytest.mark.parametrize("place", ["number", "placeholder", "default"])
def test_dropout_at_every_layer(kind: str, place: str) -> None:
    X = tf.placeholder(tf.float32, [None, n_steps, n_inputs])
    if place == "number":
        keep_prob = 0.5
    elif place == "placeholder":
        keep_prob = tf.placeholder(tf.float32)
    else:
        keep_prob = tf.placeholder_with_default(0.5, shape=())
    cell = tf.contrib.rnn.BasicRNNCell(num_units=n_neurons)
    if kind == "input":
        cell_drop = tf.contrib.rnn.DropoutWrapper(cell, input_keep_prob=keep_prob)
    else:
        cell_drop = tf.contrib.rnn.DropoutWrapper(cell, output_keep_prob=keep_prob)
    multi_layer_cell = tf.contrib.rnn.MultiRNNCell([cell_drop] * n_layers)
    outputs, states = tf.nn.dynamic_rnn(multi_layer_cell, X, dtype=tf.float32)

    program = rg.compile({"outputs": outputs, "states": states})
    check_stack(program, X)
    x = batch(4, n_steps, n_inputs)
    feeds = {X: x} | ({keep_prob: 0.5} if place == "placeholder" else {})
    masks = program.training.dropout_masks(feeds, seed=3)
    assert list(masks) == [f"rnn/multi_rnn_cell/cell_{layer}/{kind}" for layer in range(n_layers)]
    dropped = reference.Dropout(reference.RNN(n_neurons), **{f"{kind}_keep_prob": 0.5})
    spec = reference.Stack((dropped,) * n_layers)
    expected, _ = reference.dynamic_rnn(spec, program.parameters, x, masks=masks)
    np.testing.assert_allclose(program.training(feeds, seed=3)["outputs"], expected, rtol=1e-5, atol=1e-6)


def test_a_whole_classifier() -> None:
    n_outputs = 4
    X = tf.placeholder(tf.float32, [None, n_steps, n_inputs])
    y = tf.placeholder(tf.int32, [None])
    with tf.name_scope("rnn"):
        lstm_cell = tf.nn.rnn_cell.BasicLSTMCell(num_units=n_neurons)
        outputs, states = tf.nn.dynamic_rnn(lstm_cell, X, dtype=tf.float32, parallel_iterations=8, swap_memory=True)
    logits = tf.layers.dense(states[-1], n_outputs, name="softmax")
    xentropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
    loss = tf.reduce_mean(xentropy, name="loss")
    correct = tf.nn.in_top_k(logits, y, 1)
    accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))

    program = rg.compile({"outputs": outputs, "logits": logits, "correct": correct, "accuracy": accuracy}, loss=loss)
    assert list(program.parameters)[-2:] == ["softmax/kernel", "softmax/bias"]
    x, labels = batch(6, n_steps, n_inputs), np.array([0, 1, 2, 3, 1, 0])
    result = program.training({X: x, y: labels})
    scores = result["logits"].astype(np.float64)
    expected = np.log(np.exp(scores).sum(1)) - scores[np.arange(6), labels]
    np.testing.assert_allclose(result["loss"], expected.mean(), rtol=1e-5)
    np.testing.assert_array_equal(result["correct"], scores.argmax(1) == labels)
    np.testing.assert_allclose(result["accuracy"], np.mean(scores.argmax(1) == labels), rtol=1e-6)


def test_projecting_every_step_through_one_dense_layer() -> None:
    X = tf.placeholder(tf.float32, [None, n_steps, n_inputs])
    cell = tf.nn.rnn_cell.BasicRNNCell(num_units=n_neurons, activation=tf.nn.relu)
    rnn_outputs, states = tf.nn.dynamic_rnn(cell, X, dtype=tf.float32)
    stacked_rnn_outputs = tf.reshape(rnn_outputs, [-1, n_neurons])
    stacked_outputs = tf.layers.dense(stacked_rnn_outputs, 2)
    outputs = tf.reshape(stacked_outputs, [-1, n_steps, 2])

    assert outputs.shape == (None, n_steps, 2)
    program = rg.compile({"steps": rnn_outputs, "states": states, "outputs": outputs})
    result = program.inference({X: batch(4, n_steps, n_inputs)})
    kernel, bias = program.parameters["dense/kernel"], program.parameters["dense/bias"]
    np.testing.assert_allclose(result["outputs"], result["steps"] @ kernel + bias, rtol=1e-5, atol=1e-6)


# -------------------------------------------------------------------------------------------- placeholders and names


def test_default_names_are_tensorflows() -> None:
    """Default names are numbered in order of declaration. Inputs are fed by name or by the Tensor itself."""
    first = tf.placeholder(tf.float32, [2])
    named = tf.placeholder(tf.float32, [2], name="Placeholder_1")
    second = tf.placeholder(tf.float32, [2])
    keep = tf.placeholder_with_default(np.float32([3, 4]), [2])
    program = rg.compile({"y": second * 1000.0 + first * 100.0 + named * 10.0 + keep})
    expected = np.float32([1213, 1213])
    one, two = np.float32([1, 1]), np.float32([2, 2])
    by_tensor = program.inference({second: one, first: two, named: one, keep: np.float32([3, 3])})
    np.testing.assert_array_equal(by_tensor["y"], expected)
    by_name = program.inference(Placeholder=two, Placeholder_1=one, Placeholder_2=one)
    np.testing.assert_array_equal(by_name["y"], expected + np.float32([0, 1]))

    alone = rg.compile(second * 2.0)  # numbering restarts with each compilation
    np.testing.assert_array_equal(alone.inference(Placeholder=one), two)


def test_names_are_the_same_in_both_graphs_and_in_streams() -> None:
    y = tf.placeholder(tf.float32, [None, n_neurons])  # only the loss reads it
    x = tf.placeholder(tf.float32, [None, None, n_inputs])
    outputs, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(n_neurons), x, dtype=tf.float32)
    program = rg.compile({"outputs": outputs}, loss=tf.losses.mean_squared_error(y, state))
    data = batch(2, 4, n_inputs)
    whole = program.inference(Placeholder_1=data)["outputs"]
    np.testing.assert_array_equal(program.inference({x: data})["outputs"], whole)
    np.testing.assert_array_equal(program.training(Placeholder_1=data)["outputs"], whole)
    stream = program.inference.stream(batch=2)
    np.testing.assert_array_equal(stream.step({x: data[:, 0]})["outputs"], whole[:, 0])
    np.testing.assert_array_equal(stream.step(Placeholder_1=data[:, 1])["outputs"], whole[:, 1])
    assert "loss" in program.training({x: data, y: batch(2, n_neurons)})


def test_a_foreign_placeholder_is_an_error() -> None:
    x, other = tf.placeholder(tf.float32, [2]), tf.placeholder(tf.float32, [2])
    program = rg.compile(x * 2.0)
    with pytest.raises(rg.NameLookupError, match=r"test_tf1\.py:\d+: .*not a placeholder of this program"):
        program.inference({other: np.zeros(2)})


def test_a_keep_prob_has_its_default_and_its_range() -> None:
    x = tf.placeholder(tf.float32, [None, None, n_inputs], "x")
    keep_prob = tf.placeholder_with_default(1.0, shape=(), name="keep_prob")
    cell = tf.nn.rnn_cell.DropoutWrapper(tf.nn.rnn_cell.LSTMCell(n_neurons), keep_prob, keep_prob, keep_prob)
    outputs, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
    program = rg.compile(outputs)
    data = batch(3, 4, n_inputs)
    np.testing.assert_allclose(program.training(x=data), program.inference(x=data), rtol=1e-6, atol=1e-6)
    half = program.training(x=data, keep_prob=0.5, seed=1)
    assert not np.allclose(half, program.inference(x=data))
    np.testing.assert_array_equal(half, program.training({x: data, keep_prob: 0.5}, seed=1))
    masks = program.training.dropout_masks(x=data, seed=1)
    assert all(np.all(mask == 1) for mask in masks.values())
    with pytest.raises(rg.NameLookupError, match=r"inference graph has no input 'keep_prob'"):
        program.inference(x=data, keep_prob=1.0)
    for wrong in (0.0, -0.5, 1.5, np.nan):
        with pytest.raises(rg.ArgumentError, match=r"test_tf1\.py:\d+: feed keep_prob .* outside \(0, 1\]"):
            program.training(x=data, keep_prob=wrong)


def test_a_keep_prob_of_another_dtype() -> None:
    x = tf.placeholder(tf.float64, [None, None, n_inputs], "x")
    keep_probs = [tf.placeholder_with_default(0.5, []), tf.placeholder_with_default(np.float64(0.5), []), 0.5]
    results = []
    for keep_prob in keep_probs:
        cell = tf.nn.rnn_cell.DropoutWrapper(tf.nn.rnn_cell.GRUCell(n_neurons), keep_prob)
        outputs, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float64)
        program = rg.compile(outputs)
        results.append(program.training(x=batch(2, 3, n_inputs), seed=1))
        if keep_prob is keep_probs[1]:
            with pytest.raises(rg.ArgumentError, match=r"outside \(0, 1\]"):
                program.training({"x": batch(2, 3, n_inputs), keep_prob: 2.0})
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_low_keep_prob_warns_at_the_users_line() -> None:
    with pytest.warns(UserWarning, match="input_keep_prob=0.8") as caught:
        tf.nn.rnn_cell.DropoutWrapper(tf.nn.rnn_cell.GRUCell(3), 0.2)
    assert caught[0].filename == __file__


def test_a_default_is_used_in_every_graph_and_in_streams() -> None:
    x = tf.placeholder(tf.float32, [None, None, 2], "x")
    gain = tf.placeholder_with_default(2.0, [], "gain")
    program = rg.compile(x * gain)
    data = batch(1, 3, 2)
    np.testing.assert_array_equal(program.inference(x=data), data * 2)
    np.testing.assert_array_equal(program.inference(x=data, gain=3.0), data * 3)
    np.testing.assert_array_equal(program.training(x=data), data * 2)
    outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicRNNCell(2), x * gain, dtype=tf.float32)
    program = rg.compile(outputs)
    stream = program.inference.stream()
    np.testing.assert_array_equal(stream.process(x=data), program.inference(x=data))
    stream.reset()
    np.testing.assert_array_equal(stream.process(x=data, gain=3.0), program.inference(x=data, gain=3.0))


def test_a_default_must_fit() -> None:
    with pytest.raises(rg.ShapeError, match="does not fit"):
        tf.placeholder_with_default(np.zeros(3), [2])
    with pytest.raises(rg.ShapeError, match="does not fit"):
        tf.placeholder_with_default(tf.placeholder(tf.float32, [3]), [2])
    with pytest.raises(rg.ShapeError, match="depends on variables"):
        tf.placeholder_with_default(tf.get_variable("w", [3]) * 2.0, [None])


@pytest.mark.parametrize(("fill", "value"), [(tf.zeros_like, 0), (tf.ones_like, 1)])
@pytest.mark.parametrize("dtype", [None, tf.int32, tf.bool])
def test_results_shaped_like_a_feed_have_its_size(fill: Any, value: int, dtype: Any) -> None:
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    results = rg.compile(fill(x, dtype)).inference(x=np.full((5, 3), np.nan))
    np.testing.assert_array_equal(results, np.full((5, 3), value, results.dtype))
    assert results.dtype == {None: "float32", tf.int32: "int32", tf.bool: "bool"}[dtype]


def test_a_placeholder_without_a_shape_is_a_scalar() -> None:
    gain = tf.placeholder("float", name="gain")
    assert gain.shape == ()
    program = rg.compile(gain * 2.0)
    assert program.inference(gain=3) == 6.0
    with pytest.raises(rg.ShapeError, match="feed gain has shape"):
        program.inference(gain=[1.0, 2.0])


@pytest.mark.parametrize(
    ("accepted", "dtype"),
    [
        (tf.float32, "float32"),
        (tf.float64, "float64"),
        (tf.int32, "int32"),
        (tf.int64, "int64"),
        (tf.bool, "bool"),
        ("float", "float32"),
        ("double", "float64"),
        (float, "float32"),
        (int, "int32"),
        (np.float64, "float64"),
        (np.dtype("int64"), "int64"),
    ],
)
def test_dtypes(accepted: Any, dtype: str) -> None:
    assert tf.as_dtype(accepted) == dtype
    assert tf.as_dtype(accepted).as_numpy_dtype is getattr(np, {"bool": "bool_"}.get(dtype, dtype))
    assert tf.placeholder(accepted, [1]).dtype == dtype
    assert tf.cast(tf.placeholder(tf.int32, [1]), accepted).dtype == dtype


# ------------------------------------------------------------------------------------------------------------- cells


def test_cells_are_rnngraphs() -> None:
    assert tf.contrib.rnn.BasicRNNCell is tf.nn.rnn_cell.BasicRNNCell
    assert tf.nn.rnn_cell.LSTMStateTuple is rg.LSTMStateTuple
    assert issubclass(tf.nn.rnn_cell.MultiRNNCell, rg.MultiRNNCell)
    for name in ("BasicRNNCell", "BasicLSTMCell", "LSTMCell", "GRUCell"):
        cell = getattr(tf.nn.rnn_cell, name)(3)
        assert isinstance(cell, getattr(rg, name))
        assert isinstance(cell, getattr(tf.contrib.rnn, name))
        assert repr(cell) == f"{name}(3)"
    assert isinstance(tf.nn.rnn_cell.ResidualWrapper(cell), rg.ResidualWrapper)


@pytest.mark.parametrize(
    ("declare", "spec"),
    [
        (lambda c: c.BasicRNNCell(4, tf.nn.relu, None), reference.RNN(4, "relu")),
        (lambda c: c.BasicRNNCell(num_units=4, activation=None, reuse=None), reference.RNN(4)),
        (
            lambda c: c.BasicLSTMCell(4, 0.5, True, tf.nn.softsign, None),
            reference.LSTM(4, forget_bias=0.5, activation="softsign", name="basic_lstm_cell"),
        ),
        (
            lambda c: c.LSTMCell(4, True, 0.3, None, 2, 0.2, None, None, 0.5, False, tf.nn.relu, None),
            reference.LSTM(4, True, 0.3, 2, 0.2, 0.5, False, "relu"),
        ),
        (lambda c: c.GRUCell(4, tf.nn.elu, None, None, None), reference.GRU(4, "elu")),
        (lambda c: c.GRUCell(4, activation=lambda x: tf.nn.relu(x)), reference.GRU(4, "relu")),
        (lambda c: c.ResidualWrapper(c.GRUCell(3)), reference.Residual(reference.GRU(3))),
        (lambda c: c.DropoutWrapper(c.GRUCell(3), 0.5, 0.7, 0.9, True, 3, tf.float32, 4), reference.GRU(3)),
        (lambda c: c.MultiRNNCell([c.GRUCell(3)], False), reference.Stack((reference.GRU(3),), False)),
    ],
)
def test_arguments_by_position(declare: Callable[[Any], rg.Cell], spec: Any) -> None:
    x = tf.placeholder(tf.float32, [None, None, 3], "x")
    lengths = tf.placeholder(tf.int32, [None], "lengths")
    outputs, state = tf.nn.dynamic_rnn(
        declare(tf.nn.rnn_cell), x, lengths, None, tf.float32, None, False, False, "scope"
    )
    program = rg.compile({"outputs": outputs, "state": state})
    feeds = {"x": batch(3, 4, 3), "lengths": [4, 2, 0]}
    expected, _ = reference.dynamic_rnn(spec, program.parameters, feeds["x"], feeds["lengths"], scope="scope")
    np.testing.assert_allclose(program.inference(feeds)["outputs"], expected, rtol=1e-5, atol=1e-6)


def test_bidirectional_arguments_by_position() -> None:
    x = tf.placeholder(tf.float32, [None, None, 3], "x")
    lengths = tf.placeholder(tf.int32, [None], "lengths")
    cell_fw, cell_bw = tf.contrib.rnn.GRUCell(4), tf.contrib.rnn.BasicRNNCell(2)
    outputs, _ = tf.nn.bidirectional_dynamic_rnn(
        cell_fw, cell_bw, x, lengths, None, None, tf.float32, None, False, True, "both"
    )
    program = rg.compile({"outputs": outputs})
    feeds = {"x": batch(5, 3, 3), "lengths": [5, 0, 2]}
    expected, _ = reference.bidirectional(
        reference.GRU(4),
        reference.RNN(2),
        program.parameters,
        feeds["x"],
        np.array([5, 0, 2]),
        scope="both",
        time_major=True,
    )
    for results, array in zip(program.inference(feeds)["outputs"], expected, strict=True):
        np.testing.assert_allclose(results, array, rtol=1e-5, atol=1e-6)


def test_a_name_replaces_the_class_in_parameter_names() -> None:
    x = tf.placeholder(tf.float32, [None, None, 3], "x")
    cells = [tf.nn.rnn_cell.GRUCell(4, name="lower"), tf.nn.rnn_cell.BasicLSTMCell(2, name="upper")]
    outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.MultiRNNCell(cells), x, dtype=tf.float32)
    names = list(rg.compile(outputs).parameters)
    assert names[0] == "rnn/multi_rnn_cell/cell_0/lower/gates/kernel"
    assert names[-1] == "rnn/multi_rnn_cell/cell_1/upper/bias"


def test_initializers() -> None:
    x = tf.placeholder(tf.float32, [None, None, 3], "x")
    cells = [
        tf.nn.rnn_cell.LSTMCell(4, True, initializer=tf.constant_initializer(0.25), num_proj=2),
        tf.nn.rnn_cell.GRUCell(
            6,
            kernel_initializer=tf.random_uniform_initializer(-0.1, 0.1, seed=3),
            bias_initializer=tf.constant_initializer(0.5),
        ),
    ]
    outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.MultiRNNCell(cells), x, dtype=tf.float32)
    hidden = tf.contrib.layers.fully_connected(outputs, 5, weights_initializer=tf.orthogonal_initializer())
    logits = tf.layers.dense(hidden, 2, kernel_initializer=tf.truncated_normal_initializer(stddev=0.1))
    table = tf.get_variable("table", [2, 3], tf.float32, tf.ones_initializer())
    values = dict(rg.compile({"y": tf.matmul(logits, table)}).parameters)
    lstm, gru = "rnn/multi_rnn_cell/cell_0/lstm_cell/", "rnn/multi_rnn_cell/cell_1/gru_cell/"
    for name in ("kernel", "w_f_diag", "w_i_diag", "w_o_diag", "projection/kernel"):
        assert np.all(values[lstm + name] == 0.25)
    assert np.all(values[lstm + "bias"] == 0)
    for part in ("gates", "candidate"):
        assert 0.05 < np.abs(values[f"{gru}{part}/kernel"]).max() <= 0.1
        assert np.all(values[f"{gru}{part}/bias"] == 0.5)
    weights = values["fully_connected/weights"]
    np.testing.assert_allclose(weights.T @ weights, np.eye(5), atol=1e-6)
    assert np.all(values["fully_connected/biases"] == 0)
    assert 0 < np.abs(values["dense/kernel"]).max() <= 0.2
    assert np.all(values["table"] == 1)


def test_a_residual_function() -> None:
    x = tf.placeholder(tf.float32, [None, None, 3], "x")
    cell = tf.nn.rnn_cell.ResidualWrapper(tf.nn.rnn_cell.BasicRNNCell(3), lambda inputs, outputs: outputs - inputs)
    outputs, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
    program = rg.compile(outputs)
    data = batch(2, 4, 3)
    inner, _ = reference.dynamic_rnn(reference.RNN(3), program.parameters, data)
    np.testing.assert_allclose(program.inference(x=data), inner - data, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------------------------------- functions and losses

A, B = batch(4, 3, seed=2), batch(4, 3, seed=3)
FUNCTIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "reduce_mean": (lambda a, b: tf.reduce_mean(a, 1, keepdims=True), lambda a, b: a.mean(1, keepdims=True)),
    "reduce_sum": (lambda a, b: tf.reduce_sum(a, reduction_indices=[0], keep_dims=True), lambda a, b: a.sum(0)[None]),
    "reduce_max": (lambda a, b: tf.reduce_max(a), lambda a, b: a.max()),
    "reduce_min": (lambda a, b: tf.reduce_min(input_tensor=a, axis=-1), lambda a, b: a.min(-1)),
    "reduce_any": (lambda a, b: tf.reduce_any(a > b, axis=1), lambda a, b: (a > b).any(1)),
    "reduce_all": (lambda a, b: tf.reduce_all(a > b, [0], keepdims=True), lambda a, b: (a > b).all(0)[None]),
    "map_structure": (
        lambda a, b: tf.nest.map_structure(tf.subtract, [a, (b,)], [b, (a,)])[1][0],
        lambda a, b: b - a,
    ),
    "matmul": (lambda a, b: tf.matmul(a, b, transpose_b=True), lambda a, b: a @ b.T),
    "matmul_a": (lambda a, b: tf.matmul(a, b, True), lambda a, b: a.T @ b),
    "matmul of matrices": (
        lambda a, b: tf.matmul(tf.stack([a, b]), tf.stack([b, a]), transpose_b=True),
        lambda a, b: np.stack([a, b]) @ np.stack([b.T, a.T]),
    ),
    "concat": (lambda a, b: tf.concat([a, b], 1), lambda a, b: np.concatenate([a, b], 1)),
    "concat_name": (lambda a, b: tf.concat(axis=0, values=[a, b]), lambda a, b: np.concatenate([a, b])),
    "split": (lambda a, b: tf.split(a, 2)[1], lambda a, b: a[2:]),
    "split_sizes": (lambda a, b: tf.split(a, [1, 2], 1)[1], lambda a, b: a[:, 1:]),
    "stack": (lambda a, b: tf.stack([a, b], axis=1), lambda a, b: np.stack([a, b], 1)),
    "unstack": (lambda a, b: tf.unstack(a, axis=1)[2], lambda a, b: a[:, 2]),
    "unstack_first": (lambda a, b: tf.unstack(a, 4)[-1], lambda a, b: a[3]),
    "transpose": (lambda a, b: tf.transpose(a), lambda a, b: a.T),
    "transpose_perm": (lambda a, b: tf.transpose(a, perm=[1, 0]), lambda a, b: a.T),
    "reshape": (lambda a, b: tf.reshape(a, [2, -1]), lambda a, b: a.reshape(2, 6)),
    "expand_dims": (lambda a, b: tf.expand_dims(a, -1), lambda a, b: a[..., None]),
    "squeeze": (lambda a, b: tf.squeeze(a[:, tf.newaxis], [1]), lambda a, b: a),
    "gather": (lambda a, b: tf.gather(a, tf.constant([2, 0])), lambda a, b: a[[2, 0]]),
    "lookup": (lambda a, b: tf.nn.embedding_lookup(a, tf.constant([[2], [0]])), lambda a, b: a[[[2], [0]]]),
    "one_hot": (lambda a, b: tf.one_hot(tf.constant([2, 0]), 3), lambda a, b: np.float32([[0, 0, 1], [1, 0, 0]])),
    "one_hot_values": (lambda a, b: tf.one_hot(tf.constant([1]), 2, 5.0, -1.0), lambda a, b: np.float32([[-1, 5]])),
    "cast": (lambda a, b: tf.cast(a, tf.int32), lambda a, b: a.astype(np.int32)),
    "argmax": (lambda a, b: tf.argmax(a), lambda a, b: a.argmax(0)),
    "argmax_1": (lambda a, b: tf.argmax(a, 1, output_type=tf.int32), lambda a, b: a.argmax(1).astype(np.int32)),
    "where": (lambda a, b: tf.where(a > b, a, b), lambda a, b: np.maximum(a, b)),
    "equal": (lambda a, b: tf.equal(a, a), lambda a, b: a == a),
    "clip": (lambda a, b: tf.clip_by_value(a, -0.5, 0.5), lambda a, b: np.clip(a, -0.5, 0.5)),
    "arithmetic": (
        lambda a, b: tf.subtract(tf.multiply(2.0, a, name="product"), tf.divide(b, 2.0)),
        lambda a, b: 2 * a - b / 2,
    ),
    "elementwise": (
        lambda a, b: tf.sqrt(tf.abs(a)) + tf.exp(tf.tanh(b)) + tf.log(tf.square(a)) + tf.sigmoid(b, name="s"),
        lambda a, b: np.sqrt(abs(a)) + np.exp(np.tanh(b)) + np.log(a * a) + 1 / (1 + np.exp(-b)),
    ),
    "atan": (lambda a, b: tf.atan(a, name="angle"), lambda a, b: np.arctan(a)),
    "activations": (
        lambda a, b: tf.nn.relu(a, name="h") + tf.nn.leaky_relu(b) + tf.nn.relu6(features=a),
        lambda a, b: np.maximum(a, 0) + np.where(b > 0, b, 0.2 * b) + np.clip(a, 0, 6),
    ),
    "softmax": (lambda a, b: tf.nn.softmax(a), lambda a, b: np.exp(a) / np.exp(a).sum(-1, keepdims=True)),
    "softmax_axis": (lambda a, b: tf.nn.softmax(a, axis=0), lambda a, b: np.exp(a) / np.exp(a).sum(0)),
    "log_softmax": (lambda a, b: tf.nn.log_softmax(a, -1), lambda a, b: a - np.log(np.exp(a).sum(-1, keepdims=True))),
    "constant": (lambda a, b: tf.constant(2.0, shape=[4, 3]) * a, lambda a, b: 2 * a),
    "constant_fill": (
        lambda a, b: tf.constant([1.0, 2.0], tf.float32, [3]) + a,
        lambda a, b: a + np.float32([1, 2, 2]),
    ),
    "integers": (lambda a, b: tf.constant([1, 2]), lambda a, b: np.int32([1, 2])),
    "zeros_and_ones": (
        lambda a, b: tf.zeros([4, 3]) + tf.ones_like(a) + tf.ones([3]) + tf.zeros_like(b),
        lambda a, b: np.full((4, 3), 2, np.float32),
    ),
    "flatten": (lambda a, b: tf.layers.flatten(tf.expand_dims(a, 1)), lambda a, b: a),
    "tile": (lambda a, b: tf.tile(a, [1, 2]), lambda a, b: np.tile(a, (1, 2))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    declared, expected = FUNCTIONS[name]
    a, b = tf.placeholder(tf.float32, [4, 3], "a"), tf.placeholder(tf.float32, [4, 3], "b")
    program = rg.compile({"y": declared(a, b), "read": a + b})
    results, target = program.inference(a=A, b=B)["y"], np.asarray(expected(A, B))
    assert results.dtype == target.dtype
    assert results.shape == target.shape
    np.testing.assert_allclose(results, target, rtol=2e-6, atol=2e-6)


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def cross(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.maximum(logits, 0) - logits * labels + np.log1p(np.exp(-np.abs(logits)))


IDS = np.array([2, 0, 1, 1])
ONE_HOT = np.eye(3, dtype=np.float32)[IDS]
ROWS, ELEMENTS = np.float32([0.5, 0, 2, 1]), np.float32([[0.5], [0], [2], [1]])
SPARSE = -log_softmax(A)[np.arange(4), IDS]
NUMBERS: dict[str, tuple[Callable[[Any, Any, Any], Any], Any]] = {
    "sparse_softmax": (
        lambda a, b, ids: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=ids, logits=a, name="x"),
        SPARSE,
    ),
    "softmax": (
        lambda a, b, ids: tf.nn.softmax_cross_entropy_with_logits(labels=b, logits=a),
        -(B * log_softmax(A)).sum(-1),
    ),
    "softmax_v2": (
        lambda a, b, ids: tf.nn.softmax_cross_entropy_with_logits_v2(labels=b, logits=a, axis=0),
        -(B * log_softmax(A.T).T).sum(0),
    ),
    "sigmoid": (lambda a, b, ids: tf.nn.sigmoid_cross_entropy_with_logits(labels=b, logits=a), cross(A, B)),
    "losses_sparse": (lambda a, b, ids: tf.losses.sparse_softmax_cross_entropy(ids, a), SPARSE.mean()),
    "losses_sparse_weights": (
        lambda a, b, ids: tf.losses.sparse_softmax_cross_entropy(ids, a, tf.constant(ROWS)),
        (SPARSE * ROWS).sum() / 3,
    ),
    "losses_sparse_mean": (
        lambda a, b, ids: tf.losses.sparse_softmax_cross_entropy(
            ids, a, tf.constant(ROWS), reduction=tf.losses.Reduction.MEAN
        ),
        (SPARSE * ROWS).sum() / 3.5,
    ),
    "losses_sparse_half": (lambda a, b, ids: tf.losses.sparse_softmax_cross_entropy(ids, a, 0.5), SPARSE.mean() / 2),
    "losses_softmax": (
        lambda a, b, ids: tf.losses.softmax_cross_entropy(tf.one_hot(ids, 3), a, label_smoothing=0.1),
        -((ONE_HOT * 0.9 + 0.1 / 3) * log_softmax(A)).sum(-1).mean(),
    ),
    "losses_sigmoid": (lambda a, b, ids: tf.losses.sigmoid_cross_entropy(b, a), cross(A, B).mean()),
    "losses_squared": (lambda a, b, ids: tf.losses.mean_squared_error(b, a), ((A - B) ** 2).mean()),
    "losses_squared_weights": (
        lambda a, b, ids: tf.losses.mean_squared_error(b, a, weights=tf.constant(ELEMENTS)),
        ((A - B) ** 2 * ELEMENTS).sum() / 9,
    ),
    "losses_absolute": (
        lambda a, b, ids: tf.losses.absolute_difference(labels=b, predictions=a, reduction=tf.losses.Reduction.SUM),
        np.abs(A - B).sum(),
    ),
    "losses_none": (
        lambda a, b, ids: tf.losses.absolute_difference(b, a, 2.0, reduction=tf.losses.Reduction.NONE),
        2 * np.abs(A - B),
    ),
    "losses_huber": (
        lambda a, b, ids: tf.losses.huber_loss(b, a, delta=0.5),
        np.where(np.abs(A - B) < 0.5, (A - B) ** 2 / 2, 0.5 * np.abs(A - B) - 0.125).mean(),
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_losses(name: str) -> None:
    declared, expected = NUMBERS[name]
    a, b = tf.placeholder(tf.float32, [None, 3], "a"), tf.placeholder(tf.float32, [None, 3], "b")
    ids = tf.placeholder(tf.int64, [None], "ids")
    y = declared(a, b, ids)
    program = rg.compile({"y": y, "read": a + b, "ids": ids})
    results = program.inference(a=A, b=B, ids=IDS)["y"]
    assert results.shape == np.shape(expected)
    np.testing.assert_allclose(results, expected, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------------------- not offered


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("data.TFRecordDataset", "read the files in Python"),
        ("train.string_input_producer", "fit method of an rg.Trainer"),
        ("train.match_filenames_once", "no threads read files"),
        ("contrib.lookup.index_table_from_file", "with a dict"),
        ("estimator.Estimator", "the loop over session.run"),
        ("contrib.distribute.MirroredStrategy", "one process"),
        ("train.Checkpoint", "save and load methods of an rg.Trainer"),
        ("contrib.opt.AdamWOptimizer", "rg.AdamW"),
        ("nn.ctc_beam_search_decoder", "session.run"),
        ("contrib.rnn.stack_bidirectional_rnn", "stack_bidirectional_dynamic_rnn"),
        ("layers.BatchNormalization", "tf.layers.batch_normalization"),
        ("metrics.recall_at_k", "tf.nn.in_top_k"),
        ("train.SingularMonitoredSession", "tf.train.Saver"),
        ("Print", "session.run"),
        ("print", "print the result"),
        ("py_function", "tf.py_func"),
        ("PriorityQueue", "no threads read files"),
        ("train.Scaffold", "tf.Session and tf.train.Saver"),
        ("nn.seq2seq.rnn_decoder", "tf.contrib.legacy_seq2seq"),
        ("train.LoggingTensorHook", "in the loop"),
        ("unique", "depends on the data"),
        ("contrib.cudnn_rnn.CudnnLSTM", "LSTMCell"),
        ("contrib.cudnn_rnn.CudnnGRU", "reset_after=True"),
        ("contrib.rnn.TimeFreqLSTMCell", "rg.Cell"),
        ("contrib.rnn.FusedRNNCell", "rg.Cell"),
        ("contrib.seq2seq.BahdanauMonotonicAttention", "stream"),
        ("contrib.legacy_seq2seq.one2many_rnn_seq2seq", "rnn_decoder"),
        ("contrib.crf.CrfForwardRnnCell", "crf_log_likelihood"),
        ("float16", "tf.float32"),
        ("summary.audio", "log it in Python"),
        ("layer_norm", "rg.layer_norm"),
        ("contrib.layers.conv2d", "tf.layers.conv2d"),
        ("keras.layers.LSTM", "tf.nn.rnn_cell"),
    ],
)
def test_unsupported_functions_name_replacements(path: str, instead: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=r"test_tf1\.py:\d+: tf\..* is not offered; ") as caught:
        follow(path)
    assert instead in str(caught.value)
    assert str(caught.value).endswith("(docs/tf1.md#what-is-not-offered)")
    assert isinstance(caught.value, AttributeError)


def test_functions_that_came_later_are_rnngraphs() -> None:
    """Arguments are passed by position and by keyword, as in TensorFlow 1.15."""
    x = tf.placeholder(tf.float32, [None, 6, 4], "x")
    lengths = tf.placeholder(tf.int32, [None], "lengths")
    results = {
        "dropped": tf.nn.dropout(x, 0.5, None, 3, "name"),
        "by_rate": tf.nn.dropout(x, rate=0.25),
        "sums": tf.cumsum(x, 1, True, True, "name"),
        "turned": tf.reverse_sequence(x, lengths, 1, 0),
        "turned_time_major": tf.reverse_sequence(tf.transpose(x, [1, 0, 2]), lengths, seq_dim=0, batch_dim=1),
        "convolved": tf.layers.conv1d(x, 5, [3], 1, "valid", dilation_rate=2, name="c", reuse=None),
        "strided": tf.layers.conv1d(x, 5, 3, [2], "SAME", name="s"),
        "largest": tf.layers.max_pooling1d(x, 3, 2, "same"),
        "means": tf.layers.average_pooling1d(x, [4], [3]),
        "padded": tf.pad(x, [[0, 0], [1, 2], [0, 0]], "REFLECT"),
    }
    steps, _ = tf.contrib.rnn.static_rnn(tf.contrib.rnn.GRUCell(3), tf.unstack(x, axis=1), dtype=tf.float32)
    wrapped = tf.contrib.rnn.HighwayWrapper(tf.contrib.rnn.GRUCell(4), True, -2.0)
    outputs, _ = tf.nn.dynamic_rnn(wrapped, x, dtype=tf.float32, scope="highway")
    stacked, _, _ = tf.contrib.rnn.stack_bidirectional_dynamic_rnn(
        [tf.contrib.rnn.GRUCell(2)], [tf.contrib.rnn.GRUCell(3)], x, None, None, tf.float32, lengths, 32, False, "stack"
    )
    program = rg.compile({**results, "steps": steps, "highway": outputs, "stacked": stacked})
    array, counts = batch(3, 6, 4), np.array([6, 0, 2])
    feeds = {x: array, lengths: counts}
    result = program.inference(feeds)
    assert np.array_equal(result["dropped"], array)
    assert 0.6 < (program.training(feeds, seed=1)["by_rate"] != 0).mean() < 0.9
    np.testing.assert_allclose(result["sums"][:, 2], array[:, 3:].sum(1), rtol=1e-5, atol=1e-6)
    assert np.array_equal(result["turned"][2], array[2][[1, 0, 2, 3, 4, 5]])
    assert np.array_equal(result["turned_time_major"].swapaxes(0, 1), result["turned"])
    assert result["convolved"].shape == (3, 2, 5)
    strided = reference.conv1d(program.parameters, "s", array, "same", strides=2)
    np.testing.assert_allclose(result["strided"], strided, atol=1e-5)
    np.testing.assert_array_equal(result["largest"], reference.pool1d(array, 3, 2, "same", "max"))
    np.testing.assert_allclose(result["means"], reference.pool1d(array, 4, 3, "valid", "mean"), atol=1e-6)
    np.testing.assert_array_equal(result["padded"], np.pad(array, [[0, 0], [1, 2], [0, 0]], mode="reflect"))
    assert len(result["steps"]) == 6
    assert result["stacked"].shape == (3, 6, 5)
    assert np.all(program.parameters["highway/carry_b"] == -2)
    assert "stack/cell_0/bidirectional_rnn/bw/gru_cell/gates/kernel" in program.parameters
    assert not hasattr(tf.nn.rnn_cell, "HighwayWrapper")


def follow(path: str) -> Any:
    results: Any = tf
    for name in path.split("."):
        results = getattr(results, name)
    return results


@pytest.mark.parametrize("path", table().remedies)
def test_remedies_name_existing_functions(path: str) -> None:
    text = not_offered(path).what
    for name in re.findall(r"\brg\.([A-Za-z_]\w*)", text):
        assert hasattr(rg, name)
    for name in re.findall(r"\btf\.([A-Za-z_][\w.]*\w)", text.partition(";")[2]):
        follow(name)
    for name in re.findall(r"\bprogram\.(\w+)", text):
        assert hasattr(rg.Program, name) or name in ("inference", "training", "parameters")


@pytest.mark.parametrize("path", [path for path, remedy in table().remedies.items() if "rg.Trainer(program" in remedy])
def test_remedies_that_train_do(path: str) -> None:
    (call,) = re.findall(r"rg\.Trainer\(program(?:[^()]|\([^()]*\))*\)", not_offered(path).what)
    x = tf.placeholder(tf.float32, [None, 3], "x")
    program = rg.compile({"y": x}, loss=tf.reduce_mean(tf.square(tf.layers.dense(x, 2))))
    trainer = eval(call, {"rg": rg, "program": program, "rate": 0.01, "weight_decay": 0.1})
    feeds = {x: batch(4, 3)}
    before = trainer.step(feeds)
    assert trainer.step(feeds) < before


def test_adagrad_of_the_remedy_is_tensorflows() -> None:
    """accumulator = 0.1 + the sum of g²; p = p - rate · g / √accumulator."""
    x = tf.placeholder(tf.float32, [None, 3], "x")
    program = rg.compile({"y": x}, loss=tf.reduce_mean(tf.square(tf.layers.dense(x, 2, use_bias=False))))
    trainer = rg.Trainer(program, rg.Adagrad(0.05, initial_accumulator=0.1, epsilon=0.0))
    feeds, accumulator = {x: batch(4, 3)}, 0.1
    expected = program.parameters["dense/kernel"].astype(np.float64)
    for _ in range(3):
        program.parameters["dense/kernel"] = expected
        gradient = program.training.gradients(feeds)[1]["dense/kernel"].astype(np.float64)
        accumulator = accumulator + gradient**2
        expected = expected - 0.05 * gradient / np.sqrt(accumulator)
        trainer.step(feeds)
        np.testing.assert_allclose(program.parameters["dense/kernel"], expected, rtol=1e-5, atol=1e-6)


def test_attribute_lookups_of_python_itself_work() -> None:
    assert not hasattr(tf, "__wrapped__")
    assert not hasattr(tf.nn, "__wrapped__")
    assert not hasattr(tf.data, "TFRecordDataset")
    assert "dynamic_rnn" in dir(tf.nn)
    assert "contrib" in dir(tf)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda x, c: c.BasicRNNCell(3, reuse=True), "rg.shared"),
        (lambda x, c: c.LSTMCell(3, num_unit_shards=2), "num_unit_shards=2 is not offered"),
        (lambda x, c: c.DropoutWrapper(c.GRUCell(3), dropout_state_filter_visitor=print), "rg.memory"),
        (
            lambda x, c: tf.nn.dynamic_rnn(c.BasicRNNCell(3, dtype=tf.float64), x),
            "dtype=float64 but its input is float32",
        ),
        (lambda x, c: tf.nn.dynamic_rnn(c.BasicRNNCell(3), x, dtype=tf.float64), "the inputs are float32"),
        (lambda x, c: tf.nn.dynamic_rnn(c.BasicRNNCell(3), x, scope=3), "scope must be a string"),
        (lambda x, c: c.DropoutWrapper(c.GRUCell(3), 0.0), r"outside \(0, 1\]"),
        (lambda x, c: tf.concat(1, [x, x]), "tensors first and the axis second"),
        (lambda x, c: tf.split(1, 2, x), "tensor first and the axis third"),
        (lambda x, c: tf.where(x > 0), "pass x and y"),
        (lambda x, c: tf.unstack(x, axis=1), "its size is symbolic"),
        (lambda x, c: tf.layers.dense(x, 3, kernel_constraint=print), "with tf.assign"),
        (lambda x, c: tf.layers.dense(x, 3, reuse=True), "rg.shared"),
        (lambda x, c: tf.contrib.layers.fully_connected(x, 3, normalizer_fn=print), "tf.contrib.layers.layer_norm"),
        (lambda x, c: tf.nn.softmax_cross_entropy_with_logits(x, x), "by name: labels=…, logits=…"),
        (lambda x, c: tf.losses.mean_squared_error(x, x, tf.constant([1.0])), "tf.expand_dims"),
        (lambda x, c: tf.placeholder(tf.float32, [None], name=3), "must be a string"),
        (lambda x, c: tf.get_variable("w"), "needs a shape"),
        (lambda x, c: tf.nn.dropout(x), "needs either keep_prob"),
        (lambda x, c: tf.reverse_sequence(x, x, 2), "use the first two axes"),
        (lambda x, c: tf.layers.conv1d(x, 3, 2, strides=0), "strides must be positive"),
        (lambda x, c: tf.layers.conv1d(x, 3, 2, padding="full"), "use one of"),
    ],
)
def test_mistakes_name_the_line_and_the_remedy(declare: Callable[[Any, Any], Any], message: str) -> None:
    x = tf.placeholder(tf.float32, [None, None, 3])
    with pytest.raises(rg.RnnGraphError, match=rf"test_tf1\.py:\d+: .*{message}"):
        declare(x, tf.nn.rnn_cell)


def test_operands_that_are_no_array_are_errors() -> None:
    with pytest.raises(rg.ShapeError, match="not a constant"):
        tf.multiply([[1], [2, 3]], tf.placeholder("float32", (None, 3)))
