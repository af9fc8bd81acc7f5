"""Batch normalization of TensorFlow 1.x, whose fused and plain kernels differ: against TensorFlow 1.15.5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnngraph import tf1 as tf

X = (10000.5 + np.arange(-3, 3) / 7).astype(np.float32)
STARTS = {"gamma": 1.5, "beta": 0.25, "moving_mean": 10000.5, "moving_variance": 1e-9}
FUSED = [-20.085535049438477, -13.322463989257812, -6.513070583343506, 0.25, 7.013070583343506, 13.822463989257812]
"""Results of TensorFlow's fused kernel, which subtracts the mean first. The plain kernel differs by up to 0.03."""


def layer(x: Any, **options: Any) -> Any:
    starts = {f"{name}_initializer": tf.constant_initializer(number) for name, number in STARTS.items()}
    return tf.layers.batch_normalization(x, **starts, **options)


def contrib(x: Any, **options: Any) -> Any:
    starts = {name: tf.constant_initializer(number) for name, number in STARTS.items()}
    return tf.contrib.layers.batch_norm(x, scale=True, is_training=False, param_initializers=starts, **options)


@pytest.mark.parametrize(("function", "shape"), [(layer, (1, 3, 1, 2)), (contrib, (1, 3, 1, 2)), (contrib, (3, 2))])
def test_the_fused_kernel_subtracts_the_mean_first(function: Callable[..., Any], shape: tuple[int, ...]) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, shape)
        outputs = [function(x), function(x, fused=False)]
        session.run(tf.global_variables_initializer())
        fused, plain = session.run(outputs, {x: X.reshape(shape)})
    np.testing.assert_allclose(fused.reshape(-1), FUSED, rtol=2e-7)
    assert np.abs(plain.reshape(-1) - FUSED).max() > 1e-3
    np.testing.assert_allclose(plain.reshape(-1), FUSED, atol=0.05)


@pytest.mark.parametrize(
    ("fused", "wanted"), [(None, [2.3017657, 2.379466]), (False, [2.271736, 2.3481417])], ids=["fused", "plain"]
)
def test_the_fused_kernel_corrects_the_variance_of_pictures(fused: bool | None, wanted: list[float]) -> None:
    pictures = (np.random.default_rng(0).standard_normal((3, 4, 5, 2)) * 2 + 1).astype(np.float32)
    for function, options in (
        (tf.layers.batch_normalization, {"training": True, "momentum": 0.5}),
        (tf.contrib.layers.batch_norm, {"decay": 0.5}),
    ):
        with tf.Graph().as_default(), tf.Session() as session:
            x = tf.placeholder(tf.float32, (None, 4, 5, 2))
            function(x, fused=fused, **options)
            session.run(tf.global_variables_initializer())
            session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS), {x: pictures})
            variance = next(item for item in tf.global_variables() if item.name.endswith("moving_variance:0"))
            np.testing.assert_allclose(session.run(variance), wanted, rtol=1e-6)
