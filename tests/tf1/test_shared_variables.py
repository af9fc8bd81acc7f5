"""``tf.get_variable`` under scopes with and without reuse: names and errors of TensorFlow 1.15.5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

HERE = r"test_shared_variables\.py:\d+"
EXISTS = (
    rf"^\S*{HERE}: the variable {{}} already exists, created at \S*{HERE}, .*set reuse=True or reuse=tf\.AUTO_REUSE"
)
MISSING = r"the variable {} does not exist, or was not created with tf\.get_variable\(\); did you"


@pytest.fixture(autouse=True)
def _new_graph() -> None:
    tf.reset_default_graph()


def scoped(name: str, reuse: Any = None, **options: Any) -> Any:
    with tf.variable_scope(name, reuse=reuse):
        return tf.get_variable("w", [2], **options)


@pytest.mark.parametrize(
    ("declare", "name"),
    [
        (lambda: tf.get_variable("w", [2]), "w"),
        (lambda: tf.get_variable("w", [3]), "w"),
        (lambda: tf.get_variable("w", initializer=np.zeros(2, np.float32)), "w"),
        (lambda: tf.get_local_variable("w", [2]), "w"),
        (lambda: scoped("s"), "s/w"),
        (lambda: scoped("s", reuse=False), "s/w"),
    ],
)
def test_a_second_variable_of_a_name_is_an_error(declare: Callable[[], Any], name: str) -> None:
    first = (tf.get_variable("w", [2]), scoped("s"))
    with pytest.raises(ValueError, match=EXISTS.format(name)):
        declare()
    assert [item.name for item in tf.global_variables()] == [item.name for item in first]


def test_one_that_is_in_a_collection_of_its_own() -> None:
    tf.get_variable("w", [2], collections=["mine"])
    with pytest.raises(ValueError, match=EXISTS.format("w")):
        tf.get_variable("w", [2])


def test_scopes_that_reuse_return_the_existing_variable() -> None:
    first = scoped("s")
    assert scoped("s", reuse=True) is first
    assert scoped("s", reuse=tf.AUTO_REUSE) is first
    with tf.variable_scope("s") as scope:
        scope.reuse_variables()
        assert tf.get_variable("w") is first
    with tf.variable_scope("t", reuse=tf.AUTO_REUSE), tf.variable_scope("u", reuse=False):
        assert tf.get_variable("w", [2]) is tf.get_variable("w", [2])
    plain = tf.get_variable("w", [2])
    tf.get_variable_scope().reuse_variables()
    assert tf.get_variable("w", [2]) is plain


def test_a_missing_variable_in_a_scope_that_reuses_is_an_error() -> None:
    with pytest.raises(ValueError, match=MISSING.format("s/w")):
        scoped("s", reuse=True)
    first = tf.get_variable("w", [2])
    with tf.variable_scope("", reuse=True):
        with pytest.raises(rg.ShapeError, match=r"w has shape \(2,\), not \[3\]"):
            tf.get_variable("w", [3])
        with pytest.raises(ValueError, match="w has dtype float32, not float64; pass dtype=float32"):
            tf.get_variable("w", [2], dtype=tf.float64)
        assert tf.get_variable("w", [2], dtype=tf.float32) is first


def test_get_variable_does_not_find_a_tf_variable() -> None:
    first = tf.Variable([1.0, 2.0], name="w")
    with tf.variable_scope("", reuse=True), pytest.raises(ValueError, match=MISSING.format("w")):
        tf.get_variable("w", [2])
    second = tf.get_variable("w", [2], initializer=tf.zeros_initializer())
    assert (first.name, second.name) == ("w:0", "w_1:0")
    with tf.variable_scope("", reuse=True):
        assert tf.get_variable("w", [2]) is second
    with pytest.raises(ValueError, match=EXISTS.format("w")):
        tf.get_variable("w", [2])
    assert tf.Variable([3.0], name="w").name == "w_2:0"
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert [session.run(item).tolist() for item in tf.global_variables()] == [[1, 2], [0, 0], [3]]


def test_a_layer_s_variable_is_one_of_them() -> None:
    tf.layers.dense(tf.zeros([2, 3]), 4, name="d")
    with tf.variable_scope("d"), pytest.raises(ValueError, match=r"d/kernel already exists"):
        tf.get_variable("kernel", [3, 4])
