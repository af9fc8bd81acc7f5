"""Cells that programs write: inputs in tuples, expected ranks, helpers from TensorFlow's files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.ops.recurrent.linear import Linear, concat_sizes, is_like_rnncell


class Weighed(tf.nn.rnn_cell.RNNCell):
    """State that adds the product of its two inputs."""

    state_size = output_size = 3

    def call(self, inputs: Any, state: Any) -> Any:
        weight, x = inputs
        new = state + weight * x
        return new, new


def test_inputs_in_a_tuple_are_split_for_each_step() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        weight, x = tf.placeholder(tf.float32, [2, None, 1]), tf.placeholder(tf.float32, [2, None, 3])
        outputs, _ = tf.nn.dynamic_rnn(Weighed(), (weight, x), dtype=tf.float32)
        w, values = np.arange(8.0).reshape(2, 4, 1), np.arange(24.0).reshape(2, 4, 3)
        np.testing.assert_allclose(session.run(outputs, {weight: w, x: values}), np.cumsum(w * values, 1))
        with pytest.raises(rg.RnnGraphError, match="of one dtype"):
            tf.nn.dynamic_rnn(Weighed(), (weight, tf.placeholder(tf.float64, [2, None, 3])), dtype=tf.float32)


def test_errors_of_a_cell_name_the_expected_rank() -> None:
    class Flat(tf.contrib.rnn.LayerRNNCell):
        state_size = output_size = 2
        input_spec = tf.layers.InputSpec(ndim=2)

        def call(self, inputs: Any, state: Any) -> Any:
            return state, state

    with tf.Graph().as_default():
        tf.nn.dynamic_rnn(Flat(), tf.placeholder(tf.float32, [2, 3, 4]), dtype=tf.float32)
        with pytest.raises(rg.RnnGraphError, match="expects inputs of rank 2"):
            tf.nn.dynamic_rnn(Flat(), tf.placeholder(tf.float32, [2, 3, 4, 5]), dtype=tf.float32)


def test_helpers_of_cells() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x, h = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.float32, [None, 3])
        with tf.variable_scope("gates"):
            product = Linear([x, h], 4, True, tf.constant_initializer(1.0))
        first, second = product([x, h]), product([2 * x, h])
        assert [variable.name for variable in tf.global_variables()] == ["gates/kernel:0", "gates/bias:0"]
        session.run(tf.global_variables_initializer())
        data = {x: np.ones((2, 2)), h: np.zeros((2, 3))}
        one, two = session.run([first, second], data)
        np.testing.assert_allclose(two - 1, 2 * (one - 1), rtol=1e-5)
        sizes = session.run(concat_sizes(tf.shape(x)[0], tf.TensorShape([3])), data)
        assert sizes.tolist() == [2, 3]
        assert concat_sizes(2, 3, static=True) == [2, 3]
        assert is_like_rnncell(Weighed())
        assert not is_like_rnncell(x)


def test_initial_values_depend_on_other_variables() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        period = tf.get_variable("period", [500], initializer=tf.random_uniform_initializer(1.0, 2.0))
        low, high = tf.zeros([500]), period.initialized_value()
        phase = tf.get_variable("phase", [500], initializer=tf.random_uniform_initializer(low, high))
        session.run(tf.global_variables_initializer())
        periods, phases = session.run([period, phase])
        assert np.all(phases < periods)
        assert phases.max() > 1.0 > phases.min() >= 0.0
