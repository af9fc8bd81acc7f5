"""Random tensors: TensorFlow's distributions, equal numbers for equal seeds, new numbers in each run and step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

COUNT = 40000


def drawn(make: Any, runs: int = 1, seed: int = 3) -> list[Any]:
    """Return values drawn in a new graph."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(seed)
        x = tf.placeholder(tf.float32, [None, 1], name="x")
        built = make(x)
        return [session.run(built, {x: np.zeros((COUNT, 1))}) for _ in range(runs)]


CUT = 1 - 2 * 2 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
"""Variance of a normal number truncated to two deviations."""
DISTRIBUTIONS: dict[str, tuple[Any, float, float, float, float]] = {
    "random_normal": (lambda size, **k: tf.random_normal(size, 1.0, 2.0, **k), 1.0, 4.0, -math.inf, math.inf),
    "truncated_normal": (lambda size, **k: tf.truncated_normal(size, 1.0, 2.0, **k), 1.0, 4 * CUT, -3.0, 5.0),
    "random_uniform": (lambda size, **k: tf.random_uniform(size, -1, 5, **k), 2.0, 3.0, -1.0, 5.0),
    "ints": (lambda size, **k: tf.random_uniform(size, -3, 4, tf.int32), 0.0, 4.0, -3.0, 3.0),
}


@pytest.mark.parametrize("is_open", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(name: str, is_open: bool) -> None:
    """Check mean, variance and limits, for fixed sizes and for sizes of another Tensor."""
    make, mean, variance, low, high = DISTRIBUTIONS[name]
    (values,) = drawn(lambda x: make(tf.shape(x) if is_open else [COUNT, 1]))
    assert values.shape == (COUNT, 1)
    assert abs(values.mean() - mean) < 5 * math.sqrt(variance / COUNT)
    assert abs(values.var() / variance - 1) < 0.05
    assert low <= values.min()
    assert values.max() <= high


def test_truncated_normals_are_two_sided_normals() -> None:
    """Quantiles equal those of the inverse distribution function."""
    (values,) = drawn(lambda x: tf.truncated_normal(tf.shape(x)))
    inside = math.erf(math.sqrt(2))
    for at in (-1.5, -0.5, 0.0, 0.7, 1.9):
        expected = 0.5 + math.erf(at / math.sqrt(2)) / inside / 2
        assert abs((values < at).mean() - expected) < 5 * math.sqrt(0.25 / COUNT)


def test_a_deviation_may_be_a_tensor() -> None:
    for size in ([COUNT, 1], None):
        (values,) = drawn(lambda x, size=size: tf.random_normal(size or tf.shape(x), stddev=tf.reduce_sum(x) + 3.0))
        assert abs(values.std() - 3) < 0.1


def test_classes_are_drawn_by_their_probabilities() -> None:
    shares = np.array([0.1, 0.0, 0.6, 0.3])

    def make(x: Any) -> Any:
        logits = tf.log(tf.constant(shares, tf.float32)) + x
        return tf.multinomial(logits, 3), tf.random.categorical(logits, 2, dtype=tf.int32)

    ((classes, others),) = drawn(make)
    assert (classes.shape, classes.dtype, others.dtype) == ((COUNT, 3), np.int64, np.int32)
    for results in (classes, others):
        np.testing.assert_allclose(np.bincount(results.ravel(), minlength=4) / results.size, shares, atol=0.01)


def test_runs_differ_and_seeds_repeat() -> None:
    def make(x: Any) -> Any:
        return [
            tf.random_normal([3]),
            tf.random_normal(tf.shape(x)),
            tf.random_uniform([3], seed=5),
            tf.multinomial(tf.zeros([1, 9]), 30),
            tf.random_shuffle(tf.range(20)),
        ]

    first, second = drawn(make, runs=2)
    repeated, other = drawn(make), drawn(make, seed=4)
    for a, b, c, d in zip(first, second, repeated[0], other[0], strict=True):
        np.testing.assert_array_equal(a, c)
        assert not np.array_equal(a, b)
        assert not np.array_equal(a, d)
    np.testing.assert_array_equal(np.sort(first[-1]), np.arange(20))


def test_steps_of_a_loop_draw_new_numbers() -> None:
    def make(x: Any) -> Any:
        return tf.map_fn(lambda _: tf.random_uniform([], 2, 3), x), tf.scan(
            lambda total, _: total + tf.random_normal([2]), x[:50], tf.zeros([2])
        )

    ((uniform, walk),) = drawn(make)
    assert len(np.unique(uniform)) > 0.9 * COUNT
    assert uniform.min() >= 2
    assert uniform.max() <= 3
    steps = np.diff(walk, axis=0)
    assert len(np.unique(steps)) > 90
    assert 0.7 < steps.std() < 1.3


def test_initial_values_and_values_computed_from_them() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        a = tf.Variable(tf.truncated_normal([300, 7], stddev=0.1))
        b = tf.Variable(tf.random_uniform([300], -1, 1) * 0.5)
        c = tf.Variable(tf.random_uniform([300], 3, 9, tf.int32))
        session.run(tf.global_variables_initializer())
        first, half, whole = session.run([a, b, c])
        assert 0.05 < first.std() < 0.12
        assert np.abs(first).max() <= 0.2
        assert np.abs(half).max() <= 0.5
        assert {*whole} == {3, 4, 5, 6, 7, 8}


def test_a_graph_that_predicts_has_the_mean() -> None:
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 3], name="x")
        noisy = rg.compile({"y": x + tf.random_normal(tf.shape(x), 1.0)})
    np.testing.assert_array_equal(noisy.inference(x=np.zeros((2, 3)))["y"], np.ones((2, 3)))


def test_arguments_that_are_no_sizes_or_numbers_are_errors() -> None:
    for call in (
        lambda: tf.random_normal([-1]),
        lambda: tf.random_uniform([2], 5, 5, tf.int32),
        lambda: tf.random_uniform([2], dtype=tf.int32),
        lambda: tf.random_normal([2], dtype=tf.int32),
        lambda: tf.multinomial(tf.zeros([3]), 1),
        lambda: tf.random_shuffle(tf.placeholder(tf.float32, [None])),
        lambda: tf.random_normal([2], "x"),
        lambda: tf.multinomial(tf.zeros([3, 2]), 0),
    ):
        with pytest.raises(rg.RnnGraphError, match=r"test_random_tensors\.py:\d+"):
            call()
