"""Graphs of checkpoints that a process saved, folders that a saver creates, and rows that operations change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf


def test_a_graph_is_found_by_its_checkpoint(tmp_path: Path) -> None:
    path = str(tmp_path / "new folder" / "model")
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 2], name="x")
        tf.identity(tf.layers.dense(x, 3), name="answer")
        session.run(tf.global_variables_initializer())
        expected = session.run("answer:0", {x: np.ones((1, 2))})
        tf.train.Saver().save(session, path)
    with tf.Session(graph=tf.Graph()) as session, session.graph.as_default():
        saver = tf.train.import_meta_graph(f"{path}.meta")
        saver.restore(session, path)
        graph = tf.get_default_graph()
        feeds = {graph.get_tensor_by_name("x:0"): np.ones((1, 2))}
        np.testing.assert_array_equal(session.run(graph.get_tensor_by_name("answer:0"), feeds), expected)
    with tf.Graph().as_default(), pytest.raises(rg.RnnGraphError, match="a graph in a file is not offered"):
        tf.train.import_meta_graph(str(tmp_path / "other.meta"))


def test_a_saver_creates_one_folder(tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("w", [2])
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.NotFoundError, match="there is no directory"):
            tf.train.Saver().save(session, str(tmp_path / "outer" / "inner" / "model"))


def test_rows_of_variables_change() -> None:
    start = np.arange(6.0).reshape(3, 2)
    with tf.Graph().as_default(), tf.Session() as session:
        table = tf.Variable(start, dtype=tf.float32)
        changes = {
            "update": (tf.scatter_update(table, [0], tf.zeros([1, 2])), [[0, 0], [2, 3], [4, 5]]),
            "add": (tf.scatter_add(table, [1, 1], np.ones((2, 2))), [[0, 0], [4, 5], [4, 5]]),
            "sub": (tf.scatter_sub(table, tf.constant([2]), [[1, 2]]), [[0, 0], [4, 5], [3, 3]]),
            "mul": (tf.scatter_mul(table, [2], [[2, 3]]), [[0, 0], [4, 5], [6, 9]]),
        }
        session.run(tf.global_variables_initializer())
        for operation, expected in changes.values():
            np.testing.assert_allclose(session.run(operation), expected)
        np.testing.assert_allclose(session.run(table), [[0, 0], [4, 5], [6, 9]])
        with pytest.raises(rg.RnnGraphError, match="needs updates"):
            tf.scatter_update(table, [0], np.zeros((1, 3)))
        with pytest.raises(rg.RnnGraphError, match="needs a variable"):
            tf.scatter_update(table * 2, [0], np.zeros((1, 2)))
        with pytest.raises(IndexError, match="from 0 to 2"):
            session.run(tf.scatter_update(table, [3], np.zeros((1, 2))))
