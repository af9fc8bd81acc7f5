"""Convolutions and pools, against TensorFlow 1.15.5's values, and their refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.tensorflow_windows import values

import rnngraph as rg
from rnngraph import tf1 as tf

FILE = Path(__file__).parents[2] / "fixtures" / "tensorflow_windows.npz"


@pytest.fixture(autouse=True)
def _new_graph() -> None:
    tf.reset_default_graph()


@pytest.mark.slow
def test_values_and_gradients_are_tensorflows() -> None:
    results = values(tf)
    with np.load(FILE) as recorded:
        assert results.keys() == {*recorded.files}
        for name in recorded.files:
            np.testing.assert_allclose(results[name], recorded[name], rtol=1e-10, atol=1e-11, err_msg=name)


def test_one_axis_may_be_open() -> None:
    x = tf.placeholder(tf.float32, [None, None, 6, 2])
    kernel = np.random.default_rng(0).normal(size=(3, 6, 2, 4)).astype(np.float32)
    text = tf.nn.conv2d(x, kernel, [1, 1, 1, 1], "VALID")
    largest = tf.nn.max_pool(text, [1, 2, 1, 1], [1, 2, 1, 1], "VALID")
    assert text.get_shape().as_list()[2:] == [1, 4]
    array = np.random.default_rng(1).normal(size=(2, 9, 6, 2)).astype(np.float32)
    with tf.Session() as session:
        results, of_pairs = session.run([text, largest], {x: array})
    windows = np.stack([array[:, step : step + 3] for step in range(7)], 1)
    np.testing.assert_allclose(results[:, :, 0], np.einsum("btkwc,kwcf->btf", windows, kernel), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(of_pairs[:, :, 0], results[:, :6, 0].reshape(2, 3, 2, 4).max(2))


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda x: tf.nn.conv2d(x, np.ones((3, 2, 3)), [1, 1, 1, 1], "SAME"), "of rank 4"),
        (lambda x: tf.nn.conv2d(x, np.ones((3, 2, 4, 1)), [1, 1, 1, 1], "SAME"), "does not fit 3 channels"),
        (lambda x: tf.nn.conv2d(x, np.ones((3, 2, 3, 1)), [2, 1, 1, 1], "SAME"), "1 along the batch"),
        (lambda x: tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "FULL"), "use one of"),
        (lambda x: tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME", "NCHW"), "transpose the input"),
        (lambda x: tf.layers.conv2d(x, 2, (3, 2, 1)), "need 2 ints, one for each inner axis"),
        (lambda x: tf.layers.conv2d(x[0], 2, 3), r"\[batch, height, width, channels\]"),
        (lambda x: tf.layers.conv2d(tf.cast(x, tf.int32), 2, 3), "needs a float Tensor"),
        (lambda x: tf.layers.max_pooling2d(x, 2, 0), "strides must be positive"),
        (lambda x: tf.nn.max_pool(tf.placeholder(tf.float32, [2, None, None, 3]), 2, 2, "SAME"), "both axes"),
    ],
)
def test_mistakes_name_the_line(declare: Callable[[Any], Any], message: str) -> None:
    x = tf.placeholder(tf.float32, [None, 7, 6, 3])
    with pytest.raises(rg.RnnGraphError, match=rf"test_windows\.py:\d+: .*{message}"):
        declare(x)
