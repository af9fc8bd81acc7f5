"""Sessions, runs, variables and graphs of ``rnngraph.tf1``, as scripts use and misuse them."""

from __future__ import annotations

import collections
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.runtime.native.object_cache import Cache

HERE = r"test_sessions\.py:\d+: "


def begun(**options: Any) -> Any:
    session = tf.Session(**options)
    session.run(tf.global_variables_initializer())
    return session


# Fetches and feeds -----------------------------------------------------------------------------------


def test_fetches_keep_their_structure() -> None:
    pair = collections.namedtuple("pair", "a b")
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    w = tf.Variable(np.arange(3, dtype=np.float32), name="w")
    y = tf.multiply(x, w, name="y")
    init = tf.global_variables_initializer()
    with tf.Session() as sess:
        assert sess.run(init) is None
        fetched = {"one": pair(y, [w, "y:0"]), "two": (tf.reduce_sum(y), init), "three": tf.constant(2.0)}
        results = sess.run(fetched, {x: np.ones((2, 3))})
        assert type(results["one"]) is pair
        np.testing.assert_array_equal(results["one"].a, results["one"].b[1])
        np.testing.assert_array_equal(results["one"].b[0], [0, 1, 2])
        assert results["two"] == (6.0, None)
        assert results["three"] == 2.0
        assert isinstance(results["two"][0], np.float32)
        assert isinstance(sess.run([y], {x: [[1, 2, 3]]}), list)
        assert sess.run((y,), {"x:0": [[1, 2, 3]]})[0].dtype == np.float32
        for wrong in (None, 3, object()):
            with pytest.raises(rg.DtypeError, match=f"{HERE}.*can't be fetched"):
                sess.run(wrong)
        with pytest.raises(rg.NameLookupError, match=f"{HERE}.*did you mean y"):
            sess.run("Y:0")


def test_feeds_are_converted_and_unused_ones_ignored() -> None:
    ids, unused = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.float32, [2])
    table = tf.constant([[1.0], [2.0], [3.0]])
    rows = tf.nn.embedding_lookup(table, ids)
    with tf.Session() as sess:
        results = sess.run(rows, {ids: np.array([0.0, 2.9]), unused: [1, 2]})
        np.testing.assert_array_equal(results, [[1], [3]])
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"{HERE}.*can't be fed"):
            sess.run(rows, {ids: ["a"]})
        with pytest.raises(tf.errors.InvalidArgumentError, match="run the Tensor first"):
            sess.run(rows, {ids: ids})
        with pytest.raises(rg.NameLookupError, match=f"{HERE}.*needs Placeholder"):
            sess.run(rows)
        with pytest.raises(rg.DtypeError, match="can't be fed"):
            sess.run(rows, {3: 4})
        with pytest.raises(rg.ShapeError, match=HERE):
            sess.run(rows, {ids: [[1]]})


def test_any_tensor_can_be_fed() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    hidden = tf.square(x)
    y = tf.reduce_sum(hidden * 2.0, 1)
    constant = tf.constant([1.0, 2.0])
    with tf.Session() as sess:
        np.testing.assert_array_equal(sess.run(y, {hidden: [[1, 2, 3]]}), [12])
        assert sess.run([hidden, y], {hidden: [[1, 2, 3]]})[0].shape == (1, 3)
        np.testing.assert_array_equal(sess.run(constant + 1.0, {constant: [5, 6]}), [6, 7])
        np.testing.assert_array_equal(sess.run(constant + 1.0), [2, 3])


def test_states_are_fed_and_fetched() -> None:
    """Chunks that continue from the last state equal the whole sequence, also together with a training step."""
    x = tf.placeholder(tf.float32, [2, None, 3])
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.LSTMCell(4), tf.nn.rnn_cell.GRUCell(5)])
    zero = cell.zero_state(2, tf.float32)
    outputs, final = tf.nn.dynamic_rnn(cell, x, initial_state=zero)
    train = tf.train.GradientDescentOptimizer(0.0).minimize(tf.reduce_sum(outputs))
    data = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
    with begun() as sess:
        whole = sess.run(outputs, {x: data})
        state = sess.run(zero)
        for first in range(0, 9, 3):
            fed = {x: data[:, first : first + 3], zero[0]: state[0], zero[1]: state[1]}
            fetched = [outputs, final, train] if first == 3 else [outputs, final]
            part, state = sess.run(fetched, fed)[:2]
            np.testing.assert_array_equal(part, whole[:, first : first + 3])
        assert type(state[0]) is tf.nn.rnn_cell.LSTMStateTuple


def test_runs_with_the_same_feeds_are_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fed Tensors that are not placeholders get names, which are part of the cache key of compiled code."""
    compiled: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = Cache.store
    monkeypatch.setattr(Cache, "store", lambda cache, key, code: (compiled.append(key), store(cache, key, code)))
    for _ in range(4):
        with tf.Graph().as_default():
            parts = [tf.zeros([2, 3]) + float(number) for number in range(6)]
            w = tf.get_variable("w", [3, 3])
            table = tf.get_variable("table", [5, 3])
            looked = [tf.gather(table, [number, 1, 2]) for number in range(3)]
            loss = tf.reduce_sum(tf.matmul(tf.concat(parts, 0), w)) + tf.add_n([tf.reduce_sum(x * x) for x in looked])
            gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, [w, table]), 1.0)
            train = tf.train.AdamOptimizer().apply_gradients(zip(gradients, [w, table], strict=True))
            with begun() as session:
                session.run([train, loss], {part: np.full((2, 3), number) for number, part in enumerate(parts)})
        assert len(compiled) == 1


def test_nests_that_are_fed() -> None:
    pair = collections.namedtuple("pair", "a b")
    a, b, c = (tf.placeholder(tf.float32, [2], name=name) for name in "abc")
    results = tf.stack([a, b, c])
    arrays = np.arange(6, dtype=np.float32).reshape(3, 2)
    with tf.Session() as session:
        for key, value in (
            ((a, pair(b, c)), (arrays[0], pair(*arrays[1:]))),
            ((a, (b, c)), (arrays[0], (arrays[1].tolist(), arrays[2]))),
            ((a, b, c), arrays),
            ((a, (b, c)), [*arrays]),
        ):
            for _ in range(2):
                np.testing.assert_array_equal(session.run(results, {key: value}), arrays)
        with pytest.raises(rg.StructureError, match=r"has 3 Tensors, but is fed 2 arrays"):
            session.run(results, {(a, (b, c)): [arrays[0], arrays[1]]})


def test_sizes_are_tensors() -> None:
    x = tf.placeholder(tf.float32, [None, None, 4])
    shape = tf.shape(x)
    rows = shape[0] * shape[1]
    built = {
        "shape": shape,
        "size": tf.size(x),
        "rank": tf.rank(x),
        "flat": tf.shape(tf.reshape(x, [rows, 4])),
        "stacked": tf.shape(tf.reshape(x, tf.stack([shape[1], shape[0], 4]))),
        "like": tf.shape(tf.reshape(tf.zeros([rows * 4]), tf.shape(x))),
        "zeros": tf.reduce_sum(tf.ones([shape[0], 2], tf.int32)),
        "filled": tf.fill(tf.stack([shape[0]]), 7),
        "range": tf.range(shape[1]),
        "steps": tf.range(1, 10, 3),
        "mean": tf.reduce_sum(x) / tf.cast(shape[0], tf.float32),
        "concat": tf.shape(tf.reshape(x, tf.concat([[-1], shape[1:]], 0))),
    }
    with tf.Session() as sess:
        results = sess.run(built, {x: np.ones((3, 5, 4))})
    expected = {
        "shape": [3, 5, 4],
        "size": 60,
        "rank": 3,
        "flat": [15, 4],
        "stacked": [5, 3, 4],
        "like": [3, 5, 4],
        "zeros": 6,
        "filled": [7, 7, 7],
        "range": [0, 1, 2, 3, 4],
        "steps": [1, 4, 7],
        "mean": 20.0,
        "concat": [3, 5, 4],
    }
    for name, value in expected.items():
        np.testing.assert_array_equal(results[name], value, err_msg=name)
    assert results["shape"].dtype == np.int32
    assert x.get_shape().as_list() == [None, None, 4]
    assert x.get_shape()[2].value == 4
    assert x.get_shape().ndims == 3
    x.set_shape([None, 5, 4])
    with pytest.raises(rg.ShapeError, match=HERE):
        x.set_shape([None, 5, 3])
    with pytest.raises(rg.ShapeError, match=r"entries of tf\.shape"):
        tf.reshape(x, [tf.placeholder(tf.float32, []), 4])


def test_zeros_of_a_fed_batch_size() -> None:
    batch, x = tf.placeholder(tf.int32, []), tf.placeholder(tf.float32, [None, 3, 2])
    cell = tf.nn.rnn_cell.BasicLSTMCell(4)
    outputs, _ = tf.nn.dynamic_rnn(cell, x, initial_state=cell.zero_state(batch, tf.float32))
    with begun() as sess:
        assert sess.run(outputs, {x: np.ones((5, 3, 2)), batch: 5}).shape == (5, 3, 4)
        assert sess.run(outputs, {x: np.ones((2, 3, 2)), batch: 2}).shape == (2, 3, 4)


# Variables -------------------------------------------------------------------------------------------


def test_variables_without_a_value() -> None:
    x = tf.placeholder(tf.float32, [None, 2])
    w = tf.get_variable("w", [2, 2])
    y = tf.matmul(x, w)
    aside = tf.get_variable("aside", [3])
    train = tf.train.AdamOptimizer().minimize(tf.reduce_sum(y))
    with tf.Session() as sess:
        for fetched in (y, w, train, [train, y], "w:0"):
            with pytest.raises(tf.errors.FailedPreconditionError, match=f"{HERE}.*w.* value in this session"):
                sess.run(fetched, {x: np.ones((1, 2))})
        sess.run(tf.variables_initializer([w]))
        assert sess.run(y, {x: np.ones((1, 2))}).shape == (1, 2)
        assert b"aside" in list(sess.run(tf.report_uninitialized_variables()))
        assert sess.run(tf.is_variable_initialized(w))
        assert not sess.run(tf.is_variable_initialized(aside))
        with pytest.raises(tf.errors.FailedPreconditionError, match=r"beta1_power|Adam"):
            sess.run(train, {x: np.ones((1, 2))})


def test_each_session_has_values_of_its_own() -> None:
    w = tf.Variable([1.0, 2.0])
    loss = tf.reduce_sum(tf.square(w))
    train = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
    one, two = begun(), begun()
    for _ in range(3):
        one.run(train)
    after = one.run([loss, w])
    np.testing.assert_array_equal(two.run(w), [1, 2])
    two.run(train)
    assert one.run(loss) == after[0] != two.run(loss)
    first = one.run([train, loss])[1], two.run([train, loss])[1]
    three = begun()
    for _ in range(1):
        three.run(train)
    assert three.run([train, loss])[1] == first[1]  # the second optimizer has its own slots
    one.close()
    with pytest.raises(rg.ArgumentError, match="closed"):
        one.run(loss)
    with tf.Session() as four, pytest.raises(tf.errors.FailedPreconditionError):
        four.run(loss)


def test_initial_values() -> None:
    tf.set_random_seed(3)
    a = tf.Variable(tf.random_normal([200], stddev=2.0), name="a")
    b = tf.Variable(a.initialized_value() * 2.0, name="b")
    c = tf.get_variable("c", initializer=tf.constant([1, 2, 3]))
    d = tf.Variable(lambda: np.float64(0.5), name="d")
    e = tf.get_variable("e", [4], initializer=lambda shape, dtype, partition_info: np.full(shape, 7, dtype))
    f = tf.get_variable("f", [2, 2], initializer=tf.zeros_initializer)
    g = tf.Variable(3)
    sess = begun()
    values = sess.run([a, b, c, d, e, f, g])
    np.testing.assert_array_equal(values[1], values[0] * 2)
    assert 1.5 < values[0].std() < 2.5
    np.testing.assert_array_equal(values[2], [1, 2, 3])
    assert [str(item.dtype) for item in (a, b, c, d, e, f, g)] == [
        "float32",
        "float32",
        "int32",
        "float64",
        "float32",
        "float32",
        "int32",
    ]
    assert values[4].tolist() == [7] * 4
    assert not values[5].any()
    np.testing.assert_array_equal(begun().run(a), values[0])  # equal seeds give equal numbers
    sess.run(tf.global_variables_initializer())
    assert not np.array_equal(sess.run(a), values[0])  # a new run of the session draws new numbers
    assert isinstance(a, tf.Variable)
    assert not isinstance(sess, tf.Variable)
    assert repr(a) == "<tf.Variable 'a:0' shape=(200,) dtype=float32>"


def test_assignments() -> None:
    v = tf.Variable(np.zeros(2, np.float32))
    count = tf.Variable(0, name="count")
    x = tf.placeholder(tf.float32, [2])
    with begun() as sess:
        np.testing.assert_array_equal(sess.run(tf.assign(v, x * 2.0), {x: [1, 2]}), [2, 4])
        np.testing.assert_array_equal(sess.run([v.assign_sub(x), v], {x: [1, 1]})[1], [1, 3])
        assert [sess.run(tf.assign_add(count, 1)) for _ in range(3)] == [1, 2, 3]
        v.load([5.0, 6.0], sess)
        np.testing.assert_array_equal(v.eval(), [5, 6])
        sess.run(v.initializer)
        np.testing.assert_array_equal(sess.run(v), [0, 0])
        for wrong in (lambda: tf.assign(v, [1.0]), lambda: tf.assign(v, tf.constant([1, 2]))):
            with pytest.raises(rg.ShapeError, match=HERE):
                wrong()
        with pytest.raises(rg.DtypeError, match="needs a variable"):
            tf.assign(x, 3.0)
        for wrong in (lambda: tf.assign(v, x) * 2.0, lambda: tf.square(tf.assign(v, x)), lambda: x + tf.assign(v, x)):
            with pytest.raises(rg.RnnGraphError, match=HERE):
                wrong()


def test_scopes_share_variables_and_reject_duplicates() -> None:
    with tf.variable_scope("s"):
        w = tf.get_variable("w", [2])
    with tf.variable_scope("s", reuse=True):
        assert tf.get_variable("w") is w
        assert tf.get_variable_scope().reuse is True
        with pytest.raises(rg.ShapeError, match="has shape"):
            tf.get_variable("w", [3])
        with pytest.raises(rg.ArgumentError, match=f"{HERE}.*s/u does not exist.*AUTO_REUSE"):
            tf.get_variable("u", [2])
    with tf.variable_scope("s", reuse=tf.AUTO_REUSE):
        assert tf.get_variable("u", [2]) is tf.get_variable("u", [2])
    with tf.variable_scope("outer"), tf.variable_scope("s") as scope:
        scope.reuse_variables()
        assert scope.name == "outer/s"
    with tf.variable_scope(None, default_name="auto") as first, tf.variable_scope(None, default_name="auto"):
        pass
    with tf.variable_scope(None, default_name="auto") as second:
        pass
    assert (first.name, second.name) == ("auto", "auto_1")
    assert [v.name for v in tf.global_variables("s/")] == ["s/w:0", "s/u:0"]


def test_layers_and_cells_share_where_the_scope_reuses() -> None:
    x, y = tf.placeholder(tf.float32, [None, 3, 2]), tf.placeholder(tf.float32, [None, 3, 2])

    def net(data: Any) -> Any:
        outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.LSTMCell(4), data, dtype=tf.float32)
        return tf.layers.dense(tf.layers.dense(outputs[:, -1], 3), 2, name="last")

    with tf.variable_scope("net", initializer=tf.constant_initializer(0.25)):
        one = net(x)
    with tf.variable_scope("net", reuse=True):
        two = net(y)
    with tf.variable_scope("net", reuse=True):  # two drivers within one opening of the scope
        first, second = (tf.nn.dynamic_rnn(tf.nn.rnn_cell.LSTMCell(4), data, dtype=tf.float32)[0] for data in (x, y))
    names = [v.name for v in tf.trainable_variables()]
    assert names == [
        "net/rnn/lstm_cell/kernel:0",
        "net/rnn/lstm_cell/bias:0",
        "net/dense/kernel:0",
        "net/dense/bias:0",
        "net/last/kernel:0",
        "net/last/bias:0",
    ]
    data = np.random.default_rng(1).normal(size=(2, 3, 2))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(one))
    with begun() as sess:
        assert np.all(sess.run("net/dense/kernel:0") == 0.25)
        for _ in range(3):
            np.testing.assert_array_equal(sess.run(one, {x: data}), sess.run(two, {y: data}))
            np.testing.assert_array_equal(sess.run(first, {x: data}), sess.run(second, {y: data}))
            sess.run(train, {x: data})
    with pytest.raises(rg.ArgumentError, match=r"rg\.shared"), tf.variable_scope("other", reuse=True):
        net(x)


def test_two_placeholders_of_one_name() -> None:
    with tf.name_scope("train"):
        a = tf.placeholder(tf.float32, [2], name="x")
    with tf.name_scope("test"):
        b = tf.placeholder(tf.float32, [2], name="x")
    seed = tf.placeholder(tf.float32, [2], name="seed")
    with tf.Session() as sess:
        np.testing.assert_array_equal(sess.run(a - b * seed, {"train/x:0": [5, 5], b: [1, 2], seed: [2, 2]}), [3, 1])


# Training --------------------------------------------------------------------------------------------


def test_a_training_run_fetches_values_from_before_the_update() -> None:
    x = tf.placeholder(tf.float32, [None, 2])
    w = tf.Variable([[1.0], [2.0]])
    y = tf.matmul(x, w)
    other = tf.placeholder(tf.float32, [None, 2])
    loss = tf.reduce_sum(y)
    step = tf.train.get_or_create_global_step()
    train = tf.train.GradientDescentOptimizer(0.5).minimize(loss, global_step=step)
    with begun() as sess:
        results = sess.run({"op": train, "y": y, "loss": loss, "w": w, "step": step}, {x: [[1, 1]]})
        assert (results["op"], results["loss"], results["step"]) == (None, 3.0, 1)
        np.testing.assert_array_equal(results["y"], [[3]])
        np.testing.assert_array_equal(results["w"], [[0.5], [1.5]])  # a fetched variable has its value after the update
        aside = tf.matmul(other, w) * 2.0
        results = sess.run([train, aside, loss], {x: [[1, 1]], other: [[1, 0]]})
        assert (results[1].item(), results[2]) == (1.0, 2.0)
        with pytest.raises(rg.NameLookupError, match="needs"):
            sess.run(train)
        train.run({x: [[0, 1]]})
        np.testing.assert_array_equal(w.eval(), [[0], [0.5]])


def test_gradients_are_tensors() -> None:
    x = tf.placeholder(tf.float32, [None, 2])
    w, unread = tf.Variable([[1.0], [2.0]]), tf.Variable(3.0)
    y = tf.square(tf.matmul(x, w))
    results = tf.gradients(y, [w, unread, x])
    assert results[1] is None
    data = np.array([[1.0, 2.0], [3.0, -1.0]], np.float32)
    slope = 2 * data @ [[1.0], [2.0]]
    with begun() as sess:
        by_w, by_x, doubled = sess.run([results[0], results[2], results[0] * 2.0], {x: data})
        np.testing.assert_allclose(by_w, data.T @ slope)
        np.testing.assert_allclose(by_x, slope @ [[1.0, 2.0]])
        np.testing.assert_array_equal(doubled, by_w * 2)
        train = tf.train.GradientDescentOptimizer(1.0).apply_gradients([(results[0] * 0.5 + w, w)])
        before = sess.run(w)
        gradient = sess.run([train, results[0]], {x: data})[1]
        np.testing.assert_array_equal(gradient, by_w)
        np.testing.assert_allclose(sess.run(w), before - (by_w * 0.5 + before))
    optimizer = tf.train.GradientDescentOptimizer(1.0)
    for wrong, message in (
        (lambda: optimizer.apply_gradients([(None, w)]), "all are None"),
        (lambda: optimizer.minimize(tf.reduce_sum(x)), "depends on no trainable variable"),
        (lambda: optimizer.minimize(tf.reduce_sum(y), var_list=[x]), "var_list needs variables"),
        (lambda: tf.train.Optimizer().minimize(tf.reduce_sum(y)), "rg.Optimizer"),
        (lambda: optimizer.minimize(tf.reduce_sum(y), global_step=3), "global_step must be a variable"),
        (lambda: tf.gradients(tf.cast(y, tf.int32), w), "float Tensors"),
    ):
        with pytest.raises(rg.RnnGraphError, match=HERE + ".*" + message):
            wrong()


def test_non_finite_updates_are_made() -> None:
    x = tf.placeholder(tf.float32, [])
    w = tf.Variable(1.0)
    train = tf.train.AdamOptimizer(0.1).minimize(tf.log(w * x))
    with begun() as sess:
        sess.run(train, {x: 0.0})
        assert not np.isfinite(sess.run(w))


def test_rates_and_learning_only_some() -> None:
    a, b, rate = tf.Variable(1.0), tf.Variable(1.0), tf.placeholder(tf.float32, [])
    storage = tf.Variable(0.5, trainable=False)
    loss = a * 2.0 + b * 3.0
    trains = [
        tf.train.GradientDescentOptimizer(rate).minimize(loss, var_list=[a]),
        tf.train.GradientDescentOptimizer(storage * 2.0).minimize(loss, var_list=[b]),
        tf.train.GradientDescentOptimizer(lambda: 0.25).minimize(loss),
    ]
    with begun() as sess:
        sess.run(trains[0], {rate: 0.1})
        sess.run(trains[1])
        np.testing.assert_allclose(sess.run([a, b]), [0.8, -2.0])
        sess.run(trains[2])
        np.testing.assert_allclose(sess.run([a, b]), [0.3, -2.75])
        with pytest.raises(rg.NameLookupError, match="Placeholder"):
            sess.run(trains[0])


def test_a_run_that_drops_units_warns_once() -> None:
    tf.set_random_seed(1)
    x = tf.placeholder(tf.float32, [None, 50])
    keep = tf.placeholder_with_default(0.5, [])
    y = tf.nn.dropout(x, keep)
    data = np.ones((2, 50))
    with tf.Session() as sess:
        with pytest.warns(UserWarning, match=r"keep_prob of 1\.0.*rg\.compile.*docs/tf1\.md"):
            first = sess.run(y, {x: data})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            second = sess.run(y, {x: data})
            np.testing.assert_array_equal(sess.run(y, {x: data, keep: 1.0}), data)
    assert set(np.unique(first)) == {0, 2}
    assert not np.array_equal(first, second)
    with tf.Session() as sess:
        np.testing.assert_array_equal(sess.run(y, {x: data}), first)


def test_random_numbers_are_new_in_every_run() -> None:
    tf.set_random_seed(5)
    noise, low = tf.random_normal([1000]), tf.random_uniform([1000], 2, 3, seed=1)
    whole = tf.truncated_normal([1000]) + noise * 0.0
    with tf.Session() as sess:
        results = [sess.run([noise, low, whole]) for _ in range(2)]
    assert not np.array_equal(results[0][0], results[1][0])
    assert abs(results[0][0].mean()) < 0.2
    assert results[0][1].min() >= 2
    assert results[0][1].max() < 3
    assert np.abs(results[0][2]).max() <= 2
    with tf.Session() as sess:
        np.testing.assert_array_equal(sess.run(noise), results[0][0])


# Graphs ----------------------------------------------------------------------------------------------


def test_graphs_are_independent() -> None:
    graph = tf.Graph()
    with graph.as_default():
        v = tf.Variable(1.0, name="v")
        assert v.graph is graph is tf.get_default_graph()
        init = tf.global_variables_initializer()
    assert tf.global_variables() == []
    outside = tf.Variable(2.0, name="v")
    assert outside.name == v.name == "v:0"
    with tf.Session(graph=graph) as sess:
        sess.run(init)
        assert sess.run(v) == 1.0
        assert tf.get_default_graph() is graph
        assert tf.get_default_session() is sess
    assert tf.get_default_session() is None
    with pytest.raises(rg.ArgumentError, match="there is no default session"):
        outside.eval()
    with graph.as_default(), pytest.raises(rg.ArgumentError, match="leave that block"):
        tf.reset_default_graph()


def test_a_thread_has_a_graph_of_its_own() -> None:
    tf.Variable(1.0)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(len(tf.global_variables())))
    thread.start()
    thread.join()
    assert results == [0]


def test_an_interactive_session() -> None:
    session = tf.InteractiveSession()
    v = tf.Variable(2.0)
    tf.global_variables_initializer().run()
    assert v.eval() == 2.0
    assert (v * 2.0).eval() == 4.0
    session.close()
    assert tf.get_default_session() is None


def test_groups_names_and_collections() -> None:
    v = tf.Variable(0.0)
    ops = [tf.assign_add(v, 1.0), tf.assign_add(v, 2.0)]
    both = tf.group(*ops, name="both")
    assert both.name == "both"
    assert tf.get_default_graph().get_operation_by_name("both") is both
    tf.add_to_collection("mine", v)
    assert tf.get_collection("mine") == [v]
    assert tf.get_collection_ref("mine") == [v]
    assert tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES) == [v]
    with begun() as sess:
        assert sess.run([both, tf.no_op()]) == [None, None]
        assert sess.run(v) == 3.0
        with tf.control_dependencies([both]):
            after = tf.assign_add(v, 10.0)
        assert sess.run(after) == 16.0
        named = tf.identity(v * 1.0, name="named")
        assert sess.run("named:0") == sess.run(named) == 16.0
        with tf.name_scope("scope"):
            inner = tf.add(v, 1.0, name="inner")
        assert (named.op.name, inner.op.name) == ("named", "scope/inner")
        assert tf.get_default_graph().get_tensor_by_name(f"{inner.op.name}:0") is inner
        assert tf.identity(v, name="alias").op.name == v.op.name == "Variable"
    with pytest.raises(rg.DtypeError, match=r"tf\.group needs"):
        tf.group(3)


def test_declarations_still_compile_by_themselves() -> None:
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    w = tf.get_variable("w", [2, 2], initializer=tf.ones_initializer())
    program = rg.compile({"y": tf.matmul(x, w)})
    np.testing.assert_array_equal(program.inference(x=[[1, 2]])["y"], [[3, 3]])


def test_initializers_may_be_classes_or_functions() -> None:
    """TensorFlow's class may replace an initializer, for variables, layers, cells and scopes."""
    x = tf.placeholder(tf.float32, [None, 2, 3])
    with tf.variable_scope("scope", initializer=tf.ones_initializer):
        tf.get_variable("a", [2])
        tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicRNNCell(2), x, dtype=tf.float32)
    tf.get_variable("b", [2], initializer=tf.ones_initializer)
    tf.layers.dense(x, 2, kernel_initializer=tf.ones_initializer, bias_initializer=tf.ones_initializer)
    cell = tf.nn.rnn_cell.GRUCell(2, kernel_initializer=tf.ones_initializer, bias_initializer=tf.ones_initializer)
    tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
    lstm = tf.nn.rnn_cell.LSTMCell(2, initializer=tf.ones_initializer, num_proj=1)
    tf.nn.dynamic_rnn(lstm, x, dtype=tf.float32, scope="lstm")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values = {item.name: session.run(item) for item in tf.global_variables()}
    biases = {"scope/rnn/basic_rnn_cell/bias:0", "lstm/lstm_cell/bias:0"}
    assert {name for name, value in values.items() if not (value == 1).all()} == biases
