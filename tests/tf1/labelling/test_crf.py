"""`tf.contrib.crf` against sums over all paths, one by one."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

TAGS = 3


@pytest.mark.parametrize(("steps", "is_open"), [(4, True), (1, False)])
def test_scores_and_paths(steps: int, is_open: bool) -> None:
    draw = np.random.default_rng(steps)
    scores, tags = draw.normal(size=(5, steps, TAGS)), draw.integers(0, TAGS, (5, steps))
    table, lengths = draw.normal(size=(TAGS, TAGS)), np.minimum([4, 2, 1, 0, 3], steps)
    tags[2, 1:] = 99  # no tags past a row's end
    size = None if is_open else steps
    x, y = tf.placeholder(tf.float64, [None, size, TAGS]), tf.placeholder(tf.int32, [None, size])
    n, w = tf.placeholder(tf.int32, [None]), tf.Variable(table)
    likelihood, transitions = tf.contrib.crf.crf_log_likelihood(x, y, n, w)
    assert transitions.node is w.node
    fetches = [
        likelihood,
        tf.contrib.crf.crf_log_norm(x, n, w),
        tf.contrib.crf.crf_sequence_score(x, y, n, w),
        *tf.contrib.crf.crf_decode(x, w, n),
        tf.gradients(tf.reduce_sum(likelihood), [x])[0],
    ]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        results = session.run(fetches, {x: scores, y: tags, n: lengths})
    for row, (value, norm, score, best, best_score, gradient) in enumerate(zip(*results, strict=True)):
        length = int(lengths[row])
        assert not best[length or 1 :].any()
        assert not gradient[length:].any()
        if not length:
            assert value == norm == score == 0
            continue
        paths = {path: path_score(scores[row], table, path) for path in product(range(TAGS), repeat=length)}
        np.testing.assert_allclose(norm, np.log(np.sum(np.exp([*paths.values()]))), rtol=1e-12)
        np.testing.assert_allclose(score, paths[tuple(tags[row, :length])], rtol=1e-12)
        np.testing.assert_allclose(value, score - norm, rtol=1e-12)
        likeliest = max(paths, key=lambda path: paths[path])
        assert tuple(best[:length]) == likeliest
        np.testing.assert_allclose(best_score, paths[likeliest], rtol=1e-12)
        one, total = tf.contrib.crf.viterbi_decode(scores[row, :length], table)
        assert tuple(one) == likeliest
        np.testing.assert_allclose(total, best_score, rtol=1e-12)
        weights = {path: np.exp(value - norm) for path, value in paths.items()}
        for tag in range(TAGS):  # the gradient is 1 at the tag, minus its probability
            probability = sum(weight for path, weight in weights.items() if path[0] == tag)
            np.testing.assert_allclose(gradient[0, tag], (tags[row, 0] == tag) - probability, atol=1e-12)


def path_score(scores: np.ndarray, table: np.ndarray, path: Any) -> float:
    steps = [scores[step, tag] for step, tag in enumerate(path)]
    return float(sum(steps) + sum(table[a, b] for a, b in pairwise(path)))


def test_transitions_are_a_variable_of_the_scope() -> None:
    x = tf.placeholder(tf.float32, [None, None, 4])
    with tf.variable_scope("tagger"):
        _, table = tf.contrib.crf.crf_log_likelihood(x, tf.argmax(x, 2), tf.placeholder(tf.int32, [None]))
    assert [item.name for item in tf.trainable_variables()] == ["tagger/transitions:0"]
    assert table.get_shape().as_list() == [4, 4]


def test_mistakes_name_the_remedy() -> None:
    x, n = tf.placeholder(tf.float32, [None, None, 4]), tf.placeholder(tf.int32, [None])
    with pytest.raises(rg.ShapeError, match=r"\[batch, time, tags\]"):
        tf.contrib.crf.crf_log_norm(x[0], n, np.zeros((4, 4), np.float32))
    with pytest.raises(rg.ShapeError, match=r"\[4, 4\]"):
        tf.contrib.crf.crf_decode(x, np.zeros((3, 4), np.float32), n)
    with pytest.raises(rg.DtypeError, match=r"tf\.cast"):
        tf.contrib.crf.crf_decode(x, tf.constant(np.zeros((4, 4))), n)
    with pytest.raises(rg.DtypeError, match="int Tensor"):
        tf.contrib.crf.crf_unary_score(x[:, :, 0], n, x)
    with pytest.raises(rg.ShapeError, match="one row at a time"):
        tf.contrib.crf.viterbi_decode(np.zeros((2, 3, 4)), np.zeros((4, 4)))
