"""Options of TensorFlow's functions have TensorFlow's effect, or raise an error."""

from __future__ import annotations

import gzip
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf


@pytest.fixture(autouse=True)
def graph() -> Any:
    with tf.Graph().as_default():
        yield


def initial(variable: Any) -> Any:
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(variable).tolist()


def test_constant_initializers_fill_in_order_and_repeat_the_last_entry() -> None:
    v = tf.get_variable("v", [2, 3], initializer=tf.constant_initializer([1.0, 2.0, 3.0]))
    w = tf.get_variable("w", [2, 3], initializer=tf.constant_initializer(np.arange(6)))
    assert initial(v) == [[1, 2, 3], [3, 3, 3]]
    assert initial(w) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("options", [{"verify_shape": True}, {}])
def test_constant_initializers_check_shapes(options: dict[str, Any]) -> None:
    v = tf.get_variable(
        "v", [2, 2] if options else [2], initializer=tf.constant_initializer([1.0, 2.0, 3.0], **options)
    )
    with pytest.raises(rg.ShapeError, match="a constant of shape"):
        initial(v)


def test_nests_are_in_the_order_of_their_keys() -> None:
    nest = {"b": 1, "a": (2, 3)}
    assert tf.nest.flatten(nest) == [2, 3, 1]
    assert tf.nest.pack_sequence_as(nest, [1, 2, 3]) == {"b": 3, "a": (1, 2)}
    assert tf.nest.map_structure(lambda a, b: a + b, [1, 2], (3, 4), check_types=False) == [4, 6]
    tf.nest.assert_same_structure([1, {"a": 2}], (3, {"a": 4}), check_types=False)
    for check in (tf.nest.assert_same_structure, lambda a, b: tf.nest.map_structure(max, a, b)):
        with pytest.raises(rg.StructureError):
            check([1, 2], (3, 4))


def test_bias_add_along_the_channels() -> None:
    x = tf.placeholder(tf.float32, [None, 2, 3])
    first, last = tf.nn.bias_add(x, np.float32([1, 2]), "NCHW"), tf.nn.bias_add(x, np.float32([1, 2, 3]), "NHWC")
    with tf.Session() as session:
        a, b = session.run([first, last], {x: np.zeros((1, 2, 3))})
    assert a.tolist() == [[[1, 1, 1], [2, 2, 2]]]
    assert b.tolist() == [[[1, 2, 3], [1, 2, 3]]]
    with pytest.raises(rg.ArgumentError, match="data_format"):
        tf.nn.bias_add(x, np.float32([1, 2, 3]), "HWC")


def test_dtypes_of_conversions_and_layers() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    assert tf.convert_to_tensor([1, 2], dtype_hint=tf.float32).dtype == tf.float32
    assert tf.convert_to_tensor([1.5, 2], preferred_dtype=tf.int32).dtype == tf.float32
    with pytest.raises(rg.DtypeError, match="is not int32"):
        tf.convert_to_tensor(x, tf.int32)
    layer = tf.layers.Dense(2, dtype=tf.float64)
    assert layer(x).dtype == layer.kernel.dtype == tf.float64
    with pytest.raises(rg.DtypeError, match="is not float64"):
        tf.Variable(tf.zeros([2]), dtype=tf.float64)
    with pytest.raises(rg.ShapeError, match="does not have shape"):
        tf.get_variable("v", [3], initializer=tf.zeros([2]))


def test_a_target_that_is_no_class_is_not_in_the_top_k() -> None:
    x, targets = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.int32, [None])
    with tf.Session() as session:
        hits = session.run(tf.nn.in_top_k(x, targets, 2), {x: [[-1, -2, -3]] * 3, targets: [0, 2, 7]})
    assert hits.tolist() == [True, False, False]


def test_collections_of_results_and_local_variables() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.contrib.layers.fully_connected(x, 4, outputs_collections="outputs")
    assert [item.name for item in tf.get_collection("outputs")] == [y.name]
    with pytest.raises(rg.ArgumentError, match="variables_collections"):
        tf.contrib.layers.fully_connected(x, 4, variables_collections=["mine"])
    v = tf.get_local_variable("v", [2], collections=["mine"])
    assert tf.get_collection("mine") == [v]
    assert tf.local_variables() == [v]


@pytest.mark.parametrize("option", ["constraint", "custom_getter"])
def test_options_of_variables_that_are_not_offered(option: str) -> None:
    with pytest.raises(rg.ArgumentError, match=option):
        tf.get_variable("v", [2], **{option: abs})
    with pytest.raises(rg.ArgumentError, match=option), tf.variable_scope("s", **{option: abs}):
        pass


def test_gradients_of_unconnected_variables_may_be_zeros() -> None:
    x, y = tf.placeholder(tf.float32, [2]), tf.placeholder(tf.float32, [3])
    assert tf.gradients(x * x, [y]) == [None]
    (zeros,) = tf.gradients(x * x, [y], unconnected_gradients="zero")
    with tf.Session() as session:
        assert session.run(zeros, {y: [1, 2, 3]}).tolist() == [0, 0, 0]
    with pytest.raises(rg.ArgumentError, match="unconnected_gradients"):
        tf.gradients(x * x, [y], unconnected_gradients="ones")


def batches(dataset: Any) -> list[Any]:
    element, results = dataset.make_one_shot_iterator().get_next(), []
    with tf.Session() as session:
        while True:
            try:
                results.append(session.run(element).tolist())
            except tf.errors.OutOfRangeError:
                return results


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[[1, 0], [2, 2]], [[4, 4, 4, 4]], [[1, 0], [2, 2]], [[1]]]),
        ({"drop_remainder": True}, [[[1, 0], [2, 2]], [[4, 4, 4, 4]], [[1, 0], [2, 2]]]),
    ],
)
def test_buckets_by_length(options: dict[str, Any], expected: list[Any]) -> None:
    def rows() -> Any:
        for size in (1, 2, 4, 1, 2, 1):
            yield np.full(size, size, np.int32)

    dataset = tf.data.Dataset.from_generator(rows, tf.int32, [None])
    bucket = tf.data.experimental.bucket_by_sequence_length
    assert batches(dataset.apply(bucket(lambda x: tf.shape(x)[0], [3], [2, 1], **options))) == expected
    with pytest.raises(tf.errors.InvalidArgumentError, match="different shapes"):
        batches(dataset.apply(bucket(lambda x: tf.shape(x)[0], [3], [2, 1], no_padding=True)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be shorter than 3"):
        batches(dataset.apply(bucket(lambda x: tf.shape(x)[0], [3], [2, 1], pad_to_bucket_boundary=True)))
    with pytest.raises(rg.ArgumentError, match="bucket_batch_sizes"):
        bucket(lambda x: tf.shape(x)[0], [3], [2])


def test_compressed_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"3\n4\n"))
    (tmp_path / "b").write_bytes(zlib.compress(b"5\n"))
    for name, kind, expected in (("a", "GZIP", [3, 4]), ("b", "ZLIB", [5])):
        lines = tf.data.TextLineDataset(str(tmp_path / name), kind)
        assert batches(lines.map(lambda line: tf.py_func(int, [line], tf.int64))) == expected
    with pytest.raises(rg.ArgumentError, match="compression_type"):
        tf.data.TextLineDataset("a", "BZIP")


def test_a_saver_retains_one_checkpoint_of_each_period(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tf.get_variable("v", [2])
    now = [0.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    saver = tf.train.Saver(max_to_keep=1, keep_checkpoint_every_n_hours=1, save_relative_paths=True)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for minutes in (20, 80, 90, 150, 160):
            now[0] = 60.0 * minutes
            saver.save(session, str(tmp_path / "model"), minutes)
    assert sorted(path.stem for path in tmp_path.glob("*.index")) == ["model-150", "model-160", "model-80"]
    assert (tmp_path / "checkpoint").read_text().startswith('model_checkpoint_path: "model-160"')
    with pytest.raises(rg.ArgumentError, match="defer_build"):
        tf.train.Saver(defer_build=True)


def test_intervals_of_monitored_sessions(tmp_path: Path) -> None:
    tf.summary.scalar("one", tf.get_variable("v", []))
    tf.train.get_or_create_global_step()
    folders = [str(tmp_path / name) for name in ("a", "b")]
    options = {"save_checkpoint_secs": None, "save_summaries_secs": 1e-9}
    with tf.train.MonitoredTrainingSession(checkpoint_dir=folders[0], summary_dir=folders[1], **options) as session:
        session.run(tf.constant(0))
    events = [event for path in Path(folders[1]).iterdir() for event in tf.train.summary_iterator(str(path))]
    assert any(value.tag == "one" for event in events for value in event.summary.value)
    assert not [*tmp_path.glob("a/*.index")]
    with tf.train.MonitoredTrainingSession(checkpoint_dir=folders[0], save_summaries_steps=0) as session:
        session.run(tf.constant(0))
    with pytest.raises(rg.ArgumentError, match="scaffold"):
        tf.train.MonitoredTrainingSession(scaffold=object())


def test_summaries_of_optimize_loss() -> None:
    v = tf.get_variable("v", [2])
    loss = tf.reduce_sum(v * v)
    names = ["gradients", "gradient_norm"]
    tf.contrib.layers.optimize_loss(loss, None, 0.1, "SGD", summaries=names, clip_gradients=1.0, name="")
    tags = {item.name.rpartition("OptimizeLoss/")[2] for item in tf.get_collection(tf.GraphKeys.SUMMARIES)}
    expected = {"gradients/v_0", "gradient_norm/v_0", "global_norm/gradient_norm", "global_norm/clipped_gradient_norm"}
    assert tags == expected
    with pytest.raises(rg.ArgumentError, match="summaries"):
        tf.contrib.layers.optimize_loss(loss, None, 0.1, "SGD", summaries=["gradient"])


def test_distances_of_empty_sequences() -> None:
    truth, guess = tf.sparse_placeholder(tf.int32), tf.sparse_placeholder(tf.int32)
    distance = tf.edit_distance(guess, truth)
    with tf.Session() as session:
        one = tf.SparseTensorValue([[0, 0], [1, 0]], [1, 2], [3, 1])
        other = tf.SparseTensorValue([[0, 0]], [3], [3, 1])
        assert session.run(distance, {guess: one, truth: other}).tolist() == [1, np.inf, 0]


def test_variables_of_an_untrained_cell() -> None:
    class Mine(tf.nn.rnn_cell.RNNCell):
        state_size = output_size = 3

        def call(self, inputs: Any, state: Any) -> Any:
            new = state + inputs * self.add_variable("w", [3])
            return new, new

    x = tf.placeholder(tf.float32, [None, 2, 3])
    tf.nn.dynamic_rnn(Mine(trainable=False), x, dtype=tf.float32)
    assert tf.global_variables()
    assert not tf.trainable_variables()
    with pytest.raises(rg.ArgumentError, match="activity_regularizer"):
        Mine(activity_regularizer=abs)


def test_the_number_of_labels_of_a_sampled_loss() -> None:
    weights, biases = tf.zeros([9, 4]), tf.zeros([9])
    labels, x = tf.placeholder(tf.int64, [None, 2]), tf.placeholder(tf.float32, [None, 4])
    with pytest.raises(rg.ShapeError, match="num_true=1"):
        tf.nn.nce_loss(weights, biases, labels, x, 3, 9)


def test_shapes_and_padding_of_dicts_are_matched_by_key() -> None:
    def rows() -> Any:
        for size in (1, 2):
            yield {"b": np.int32(size), "a": np.full(size, size, np.float32)}

    types, shapes = {"b": tf.int32, "a": tf.float32}, {"a": [None], "b": []}
    dataset = tf.data.Dataset.from_generator(rows, types, shapes)
    assert dataset.output_shapes == {"b": (), "a": (None,)}
    for values, filler in (({"a": 9.0, "b": 0}, 9), ({"a": None, "b": None}, 0), (None, 0)):
        batch = dataset.padded_batch(2, {"a": [3], "b": []}, values).make_one_shot_iterator().get_next()
        with tf.Session() as session:
            result = session.run(batch)
        assert result["a"].tolist() == [[1, filler, filler], [2, 2, filler]]
        assert result["b"].tolist() == [1, 2]


def test_dicts_of_loops_and_branches_are_matched_by_key() -> None:
    x = tf.placeholder(tf.float32, [3, 2])
    counts = {"b": tf.constant(0), "a": tf.constant(1.0)}
    first, other = (lambda: {"b": 1.0, "a": 2.0}), (lambda: {"a": 3.0, "b": 4.0})
    results = [
        tf.cond(tf.reduce_sum(x) > 0, first, other),
        tf.cond(tf.reduce_sum(x) < 0, first, other),
        tf.while_loop(lambda i, _: i < 3, lambda i, d: (i + 1, {"a": d["a"] * 2, "b": d["b"] + 1}), (0, counts))[1],
        tf.foldl(lambda p, e: {"a": p["a"] + e[0], "b": p["b"] + 1}, x, counts),
        tf.map_fn(lambda e: {"b": e[0], "a": tf.cast(e[1], tf.int32)}, x, dtype={"a": tf.int32, "b": tf.float32}),
    ]
    with tf.Session() as session:
        one, two, loop, fold, mapped = session.run(results, {x: [[1, 2], [3, 4], [5, 6]]})
    assert one == {"b": 1, "a": 2}
    assert two == {"b": 4, "a": 3}
    assert loop == {"b": 3, "a": 8}
    assert fold == {"b": 3, "a": 10}
    assert mapped["b"].tolist() == [1, 3, 5]
    assert mapped["a"].tolist() == [2, 4, 6]
