"""Checkpoints of ``tf.train.Saver``, also to and from TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from systems import not_on_windows

import rnngraph as rg
from rnngraph import tf1 as tf

HERE = r"test_saver\.py:\d+: "


def begun() -> Any:
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session


def test_values_are_restored_bit_for_bit(tmp_path: Path) -> None:
    kinds = {"float32": np.float32, "float64": np.float64, "int32": np.int32, "int64": np.int64, "bool": np.bool_}
    draw = np.random.default_rng(0)
    values = {
        f"{name}/{'x'.join(map(str, shape)) or 'scalar'}": draw.integers(0, 2, shape).astype(kind) * kind(1)
        for name, kind in kinds.items()
        for shape in ((), (1,), (7, 3), (2, 1, 5))
    }
    values["special"] = np.array([np.nan, np.inf, -0.0, 1e-40], np.float32)
    variables = {name: tf.Variable(value, name=name, trainable=False) for name, value in values.items()}
    saver = tf.train.Saver()
    with begun() as sess:
        path = saver.save(sess, str(tmp_path / "all"))
    assert path == str(tmp_path / "all")
    read = rg.read_tf1_variables(path)
    assert list(read) == sorted(values)
    for name, value in values.items():
        assert read[name].tobytes() == value.tobytes()
        assert read[name].dtype == value.dtype
    with tf.Session() as sess:
        saver.restore(sess, path)
        for name, variable in variables.items():
            assert np.asarray(sess.run(variable)).tobytes() == values[name].tobytes()
    assert tf.train.list_variables(path)[0] == ("bool/1", [1])
    np.testing.assert_array_equal(tf.train.load_variable(path, "float32/7x3"), values["float32/7x3"])
    reader = tf.train.NewCheckpointReader(path)
    assert reader.has_tensor("special")
    assert not reader.has_tensor("other")
    assert reader.get_variable_to_shape_map()["float64/2x1x5"] == [2, 1, 5]


def test_training_continues_from_a_checkpoint(tmp_path: Path) -> None:
    """The losses have equal bits, because the checkpoint includes the optimizer's slots and powers."""
    x = tf.placeholder(tf.float32, [None, 3, 2])
    outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.LSTMCell(4), x, dtype=tf.float32)
    loss = tf.reduce_mean(tf.square(outputs - 0.3))
    step = tf.train.get_or_create_global_step()
    train = tf.train.AdamOptimizer(0.1).minimize(loss, global_step=step)
    saver, feed = tf.train.Saver(), {x: np.random.default_rng(0).normal(size=(4, 3, 2))}
    with begun() as sess:
        for _ in range(5):
            sess.run(train, feed)
        saver.save(sess, str(tmp_path / "m"), global_step=step)
        expected = [sess.run([train, loss, step], feed)[1:] for _ in range(5)]
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "m-5")
    with tf.Session() as sess:
        saver.restore(sess, str(tmp_path / "m-5"))
        assert [sess.run([train, loss, step], feed)[1:] for _ in range(5)] == expected


def test_some_variables_under_other_names(tmp_path: Path) -> None:
    a, b = tf.get_variable("a", [2]), tf.get_variable("b", [2])
    with begun() as sess:
        tf.train.Saver({"first": a}).save(sess, str(tmp_path / "some"))
        kept = sess.run(a)
        tf.train.Saver({"first": b}).restore(sess, str(tmp_path / "some"))
        np.testing.assert_array_equal(sess.run(b), kept)
        with pytest.raises(tf.errors.NotFoundError, match=HERE + ".*has no a; it has first.*var_list"):
            tf.train.Saver([a]).restore(sess, str(tmp_path / "some"))
        wide = tf.get_variable("wide", [3])
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"float32\[2\], but the variable is float32\[3\]"):
            tf.train.Saver({"first": wide}).restore(sess, str(tmp_path / "some"))
        with pytest.raises(tf.errors.NotFoundError, match="there is no checkpoint"):
            tf.train.Saver([a]).restore(sess, str(tmp_path / "none"))
        with pytest.raises(tf.errors.NotFoundError, match=r"did you mean .*some\?"):
            tf.train.Saver([a]).restore(sess, str(tmp_path))
        with pytest.raises(tf.errors.NotFoundError, match=r"no directory .*os\.makedirs"):
            tf.train.Saver([a]).save(sess, str(tmp_path / "missing" / "inner" / "m"))
        with pytest.raises(rg.ArgumentError, match="latest_checkpoint without a checkpoint"):
            tf.train.Saver([a]).restore(sess, tf.train.latest_checkpoint(str(tmp_path / "none")))
        with pytest.raises(tf.errors.FailedPreconditionError, match="wide"):
            tf.train.Saver().save(sess, str(tmp_path / "m"))
    tf.reset_default_graph()
    with pytest.raises(rg.ArgumentError, match="no variables to save"):
        tf.train.Saver()


@not_on_windows("names of files hold no quotes or backslashes")
def test_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.makedirs("run")
    tf.get_variable("w", [2])
    saver = tf.train.Saver(max_to_keep=2)
    with begun() as sess:
        for step in (1, 2, 3, 3):
            saver.save(sess, os.path.join("run", 'a"b\\'), global_step=step)
    assert saver.last_checkpoints == ['run/a"b\\-2', 'run/a"b\\-3']
    assert sorted(os.listdir("run")) == [
        'a"b\\-2.data-00000-of-00001',
        'a"b\\-2.index',
        'a"b\\-3.data-00000-of-00001',
        'a"b\\-3.index',
        "checkpoint",
    ]
    state = tf.train.get_checkpoint_state("run")
    assert state is not None
    assert state.model_checkpoint_path == tf.train.latest_checkpoint("run") == 'run/a"b\\-3'
    assert state.all_model_checkpoint_paths == ['run/a"b\\-2', 'run/a"b\\-3']
    assert Path("run/checkpoint").read_text().splitlines()[0] == 'model_checkpoint_path: "a\\"b\\\\-3"'
    assert tf.train.get_checkpoint_state("elsewhere") is None
    assert tf.train.checkpoint_exists('run/a"b\\-2')
    assert not tf.train.checkpoint_exists('run/a"b\\-1')


def test_checkpoints_of_tensorflow_are_restored() -> None:
    """Restore fixtures in the checkpoint formats 2 and 1."""
    folder = Path(__file__).parents[2] / "fixtures" / "checkpoints"
    expected = np.load(folder / "graph.npz")
    name = "rnn/basic_lstm_cell/kernel"
    x = tf.placeholder(tf.float32, [None, None, 2])
    tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicLSTMCell(5), x, dtype=tf.float32)
    for version in ("version1", "version2"):
        with tf.Session() as sess:
            tf.train.Saver(tf.trainable_variables()).restore(sess, str(folder / version))
            assert sess.run(f"{name}:0").tobytes() == expected[name.replace("/", "|")].tobytes()


RESTORE = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
reader = tf.train.NewCheckpointReader(sys.argv[1])
names = reader.get_variable_to_shape_map()
np.savez(sys.argv[2], **{name.replace("/", "|"): reader.get_tensor(name) for name in names})
print(tf.train.latest_checkpoint(sys.argv[3]))
"""


@pytest.mark.peers
def test_tensorflow_reads_the_written_checkpoints(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    x = tf.placeholder(tf.float32, [None, 3, 20])
    outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.LSTMCell(300), x, dtype=tf.float32)
    many = [tf.get_variable(f"many/{number}/{'long' * 20}", [1 + number % 3]) for number in range(3000)]
    train = tf.train.AdamOptimizer().minimize(tf.reduce_mean(outputs))
    with begun() as sess:
        sess.run(train, {x: np.ones((2, 3, 20))})
        path = tf.train.Saver().save(sess, str(tmp_path / "m"), global_step=7)
        expected = {item.name[:-2]: sess.run(item) for item in tf.global_variables()}
    assert len(expected) > len(many)
    command = [sys.executable, "-c", RESTORE, path, str(tmp_path / "read.npz"), str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip().splitlines()[-1] == path
    with np.load(tmp_path / "read.npz") as read:
        assert {name.replace("|", "/") for name in read.files} == expected.keys()
        for name in read.files:
            assert read[name].tobytes() == np.asarray(expected[name.replace("|", "/")]).tobytes()


def test_a_damaged_checkpoint_is_an_error_whichever_byte_it_is(tmp_path: Path) -> None:
    value = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    weights = tf.Variable(value, name="w")
    saver = tf.train.Saver()
    with begun() as sess:
        path = saver.save(sess, str(tmp_path / "net"))
    for file in (tmp_path / "net.index", tmp_path / "net.data-00000-of-00001"):
        whole = file.read_bytes()
        for place in range(len(whole)):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
            with tf.Session() as sess, pytest.raises(rg.FileError, match="damaged"):
                saver.restore(sess, path)
        file.write_bytes(whole)
    with tf.Session() as sess:
        saver.restore(sess, path)
        assert sess.run(weights).tobytes() == value.tobytes()
