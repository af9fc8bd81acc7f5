"""Programs whose results depend on the order of operations in a run, against TensorFlow 1.15.5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.tensorflow_order import PROGRAMS, told

import rnngraph as rg
from rnngraph import tf1 as tf

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent.parent / "fixtures" / "tensorflow_order.json").read_text())


def test_all_programs_are_recorded() -> None:
    assert RECORDED["tensorflow"] == "1.15.5"
    assert RECORDED.keys() - {"tensorflow"} == PROGRAMS.keys()


@pytest.mark.parametrize("name", PROGRAMS)
def test_numbers_are_tensorflows(name: str) -> None:
    """Differences are relative to the largest number of the same fetch."""
    results, expected = told(tf, name), RECORDED[name]
    assert list(results["variables"]) == list(expected["variables"])
    assert len(results["noted"]) == len(expected["noted"])
    pairs = [*zip(results["noted"], expected["noted"], strict=True)]
    pairs += [(results["variables"][key], expected["variables"][key]) for key in expected["variables"]]
    for ours, theirs in pairs:
        limit = 1e-4 * max(1.0, *map(abs, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=limit)


def test_a_gradient_runs_the_operations_before_the_values_that_it_needs() -> None:
    """The gradient of a copy of a loss needs no value of the copy, so TensorFlow skips the operations before it."""
    tf.reset_default_graph()
    x, w = tf.placeholder(tf.float32, [2, 3]), tf.get_variable("w", [3, 1])
    loss, count = tf.reduce_mean(tf.square(tf.matmul(x, w))), tf.Variable(0, trainable=False)
    with tf.control_dependencies([tf.assign_add(count, 1)]):
        copy, squared = tf.identity(loss), tf.square(loss)
    descent = tf.train.GradientDescentOptimizer(0.1)
    trains = [descent.minimize(copy), descent.minimize(tf.exp(copy)), descent.minimize(squared)]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        counts = []
        for fetched in (*trains, copy):
            session.run(fetched, {x: np.ones((2, 3))})
            counts.append(session.run(count))
    assert counts == [0, 1, 1, 2]  # as in TensorFlow 1.15.5


def test_operations_of_branches_and_steps_are_refused() -> None:
    """TensorFlow runs such an operation only in the selected branch, or at every step of a loop."""
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [2, 3])
    count = tf.Variable(0.0, trainable=False)

    def counted(value: Any) -> Any:
        with tf.control_dependencies([tf.assign_add(count, 1.0)]):
            return tf.identity(value)

    for declare in (
        lambda: tf.cond(x[0, 0] > 0, lambda: counted(x), lambda: x),
        lambda: tf.while_loop(lambda n, _: n < 3, lambda n, a: (n + 1, counted(a) + x), (0, x)),
        lambda: tf.scan(lambda a, b: counted(a) + b, x),
    ):
        with pytest.raises(rg.NotOfferedError, match=r"test_order\.py:\d+: .*session.run of its own"):
            declare()


def test_a_gradient_of_values_before_and_after_a_change_is_refused() -> None:
    tf.reset_default_graph()
    w = tf.get_variable("w", [3], initializer=tf.ones_initializer())
    before = w * 2.0
    with tf.control_dependencies([tf.assign(w, w * 3.0)]):
        loss = tf.reduce_sum(tf.exp(before * w))
    (gradient,) = tf.gradients(loss, [w])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(session.run(loss), 3 * np.exp(6.0), rtol=1e-5)
        with pytest.raises(rg.NotOfferedError, match="both before and after"):
            session.run(gradient)


def test_one_set_of_variables_is_restored_into_all_places_of_a_cell(tmp_path: Path) -> None:
    """TensorFlow 1.2 and later write one set of variables for a cell object at several positions."""
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [2, 4, 3])
    cell = tf.nn.rnn_cell.GRUCell(5)
    with pytest.warns(UserWarning, match=r"is used at bidirectional_rnn/fw/gru_cell and at bidirectional_rnn/bw"):
        outputs, _ = tf.nn.bidirectional_dynamic_rnn(cell, cell, x, dtype=tf.float32)
    tf.train.AdamOptimizer().minimize(tf.reduce_sum(outputs[0] + outputs[1]))
    one_set = [item for item in tf.global_variables() if "/bw/" not in item.name]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver(one_set).save(session, str(tmp_path / "one"))
    with tf.Session() as session:
        with pytest.warns(UserWarning, match="has one set of variables"):
            tf.train.Saver().restore(session, path)
        by_name = {item.name: item for item in tf.global_variables()}
        for name, first in by_name.items():
            copy = by_name[name.replace("/fw/", "/bw/")]
            np.testing.assert_array_equal(*session.run([first, copy]))
