"""Summaries with TensorFlow's values, in files that TensorBoard's own reader reads."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.summary.summaries import histogram_of

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"


def cases(kind: str, *names: str) -> Iterator[Any]:
    with np.load(FIXTURES / "tensorflow_summaries.npz") as file:
        for key in file.files:
            if key.startswith(f"{kind}/"):
                case = key.partition("/")[2]
                yield pytest.param(*(file[f"{name}/{case}"] for name in (kind, *names)), id=case)


@pytest.mark.parametrize(("numbers", "recorded"), [*cases("numbers", "histogram")])
def test_histograms_are_tensorflows(numbers: np.ndarray, recorded: np.ndarray, request: pytest.FixtureRequest) -> None:
    """Limits and counts have equal bits; sums are equal up to rounding."""
    name = request.node.callspec.id
    if numbers.size:
        with tf.Session() as session:
            results = tf.Summary.FromString(session.run(tf.summary.histogram(f"a {name}", numbers)))
    else:
        results = tf.Summary(value=[tf.Summary.Value(tag="a_none", histo=histogram_of(numbers, "none"))])
    ours, theirs = results.value[0], tf.Summary.FromString(recorded.tobytes()).value[0]
    assert ours.tag == theirs.tag == f"a_{name}"
    assert (ours.histo.bucket_limit, ours.histo.bucket) == (theirs.histo.bucket_limit, theirs.histo.bucket)
    for field in ("min", "max", "num", "sum", "sum_squares"):
        assert getattr(ours.histo, field) == pytest.approx(getattr(theirs.histo, field), rel=1e-12), field


def pixels_of(data: bytes) -> np.ndarray:
    """Return the picture of a PNG file with unfiltered rows."""
    position, compressed, head = 8, b"", b""
    while position < len(data):
        (size,), kind = struct.unpack(">I", data[position : position + 4]), data[position + 4 : position + 8]
        body, crc = data[position + 8 : position + 8 + size], data[position + 8 + size : position + 12 + size]
        assert struct.unpack(">I", crc)[0] == zlib.crc32(kind + body)
        head, compressed = body if kind == b"IHDR" else head, compressed + (body if kind == b"IDAT" else b"")
        position += 12 + size
    width, height = struct.unpack(">II", head[:8])
    rows = np.frombuffer(zlib.decompress(compressed), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, -1)


@pytest.mark.parametrize(("numbers", "shown"), [*cases("picture", "pixels")])
def test_pictures_are_tensorflows(numbers: np.ndarray, shown: np.ndarray) -> None:
    x = tf.placeholder(tf.float32, [None, *numbers.shape[1:]])
    with tf.Session() as session:
        results = tf.Summary.FromString(session.run(tf.summary.image("im", x), {x: numbers}))
    assert [item.tag for item in results.value] == [f"im/image/{number}" for number in range(len(numbers))]
    for item, pixels in zip(results.value, shown, strict=True):
        np.testing.assert_array_equal(pixels_of(item.image.encoded_image_string), pixels)


def logged(folder: Path) -> None:
    """Run a program that logs all kinds of values."""
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    with tf.name_scope("layer"):
        w = tf.get_variable("w", [3, 1], initializer=tf.ones_initializer())
        loss = tf.reduce_mean(tf.square(tf.matmul(x, w, name="y")))
    tf.summary.scalar("the loss", loss)
    tf.summary.scalar("again", loss, family="family")
    tf.summary.histogram("weights", w)
    tf.summary.image("picture", tf.reshape(x, [-1, 3, 1, 1]), max_outputs=1)
    tf.summary.text("notes", ["one", "two"])
    merged = tf.summary.merge_all()
    train = tf.train.GradientDescentOptimizer(0.05).minimize(loss)
    with tf.Session() as session, tf.summary.FileWriter(str(folder), session.graph) as writer:
        session.run(tf.global_variables_initializer())
        for step in range(3):
            summary, _ = session.run([merged, train], {x: np.eye(3) * (step + 1)})
            writer.add_summary(summary, global_step=step)
        writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="own", simple_value=3.5)]), 9)
        built = tf.Summary()
        built.value.add(tag="more", simple_value=np.float32(0.25))
        writer.add_summary(built)
        writer.flush()


def test_a_log_is_read_back(tmp_path: Path) -> None:
    logged(tmp_path / "log")
    (path,) = (tmp_path / "log").iterdir()
    assert path.name.startswith("events.out.tfevents.")
    events = list(tf.train.summary_iterator(str(path)))
    assert events[0].file_version == "brain.Event:2"
    assert events[1].HasField("graph_def")
    values = [(event.step, {value.tag: value for value in event.summary.value}) for event in events[2:]]
    assert [step for step, _ in values] == [0, 1, 2, 9, 0]
    losses = [results["the_loss"].simple_value for _, results in values[:3]]
    assert losses[0] == 1.0
    assert sorted(values[0][1]) == [
        "family/family/again",
        "notes",
        "picture/image",
        "the_loss",
        "weights",
    ]
    assert values[0][1]["notes"].tensor.string_val == [b"one", b"two"]
    assert (values[3][1]["own"].simple_value, values[4][1]["more"].simple_value) == (3.5, 0.25)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    (tmp_path / "damaged").write_bytes(data)
    with pytest.raises(rg.FileError, match="checksum of a record"):
        list(tf.train.summary_iterator(str(tmp_path / "damaged")))
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-3])
    assert len(list(tf.train.summary_iterator(str(tmp_path / "cut")))) == len(events) - 1


@pytest.mark.peers
def test_tensorboard_reads_it(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logged(tmp_path)
    results = accumulator.EventAccumulator(str(tmp_path))
    results.Reload()
    tags = results.Tags()
    assert set(tags["scalars"]) == {"the_loss", "family/family/again", "own", "more"}
    assert (tags["histograms"], tags["images"], tags["tensors"]) == (["weights"], ["picture/image"], ["notes"])
    assert next((item.step, item.value) for item in results.Scalars("the_loss")) == (0, 1.0)
    nodes = {node.name: node for node in results.Graph().node}
    assert nodes["layer/y"].op == "MatMul"
    assert list(nodes["layer/y"].input) == ["x", "w"]
    assert nodes["x"].attr["_output_shapes"].list.shape[0].dim[1].size == 3


def test_old_names_and_merged_summaries() -> None:
    assert tf.summary.merge_all() is None
    first = tf.scalar_summary("a", 2.0)
    both = tf.merge_summary([first, tf.histogram_summary("b", [1.0, 2.0])])
    with tf.Session():
        results = tf.Summary.FromString(both.eval())
    assert [item.tag for item in results.value] == ["a", "b"]
    assert results.value[0].WhichOneof("value") == "simple_value"
    event = tf.Event(wall_time=1.0, step=2, summary=results)
    assert (event.WhichOneof("what"), tf.Event(wall_time=1.0).WhichOneof("what")) == ("summary", None)
    assert tf.Summary.Value(tag="a", node_name="b").WhichOneof("value") is None
    assert tf.train.SummaryWriter is tf.summary.FileWriter


def test_parsing_replaces_all_fields() -> None:
    event = tf.Event(step=3, file_version="x")
    event.ParseFromString(tf.Event(wall_time=2.0).SerializeToString())
    assert (event.wall_time, event.step, event.file_version) == (2.0, 0, "")
    assert event.SerializeToString() == tf.Event(wall_time=2.0).SerializeToString()


def test_setting_a_field_clears_the_others_of_its_oneof() -> None:
    value = tf.Summary.Value(tag="a", simple_value=1.0)
    value.image = tf.Summary.Image(height=2)
    assert (value.WhichOneof("value"), value.HasField("simple_value"), value.simple_value) == ("image", False, 0.0)
    read = tf.Summary.Value.FromString(value.SerializeToString())
    assert (read.tag, read.WhichOneof("value"), read.image.height) == ("a", "image", 2)


def test_reading_an_unset_message_does_not_set_it() -> None:
    event, empty = tf.Event(wall_time=1.0), tf.Event(wall_time=1.0).SerializeToString()
    assert (len(event.summary.value), event.HasField("summary"), event.SerializeToString()) == (0, False, empty)
    event.summary.value.add(tag="a")
    assert (event.WhichOneof("what"), event.HasField("summary")) == ("summary", True)
    assert tf.Event.FromString(event.SerializeToString()).summary.value[0].tag == "a"


def test_mistakes(tmp_path: Path) -> None:
    writer = tf.summary.FileWriter(str(tmp_path))
    x = tf.placeholder(tf.float32, [None])
    (tmp_path / "file").write_text("")
    for call, message in (
        (lambda: tf.summary.scalar("a", tf.ones([3])), "needs a scalar"),
        (lambda: tf.summary.image("a", tf.ones([3])), "batch, height"),
        (lambda: tf.summary.histogram("a", tf.no_op()), "tf.summary.histogram needs a Tensor"),
        (lambda: tf.Event().WhichOneof("value"), "has no oneof value"),
        (lambda: tf.summary.text("a", x), "needs a str"),
        (lambda: tf.summary.merge([x]), "list of summaries"),
        (lambda: writer.add_summary(3), "the fetched value of one"),
        (lambda: writer.add_graph("graph"), "tf.Graph"),
        (lambda: writer.add_summary(tf.Summary(), x), "global_step"),
        (lambda: tf.Summary.Value(tagg="x"), "did you mean tag"),
        (lambda: tf.Summary.Value(simple_value="x"), "must be a number"),
        (lambda: tf.Summary.FromString(b"\xff\xff"), "are not a tf.Summary"),
        (lambda: tf.summary.FileWriter(str(tmp_path / "file")), "can't write"),
        (lambda: tf.summary.audio, "fetch the value"),
    ):
        with pytest.raises((rg.RnnGraphError, AttributeError), match=message):
            call()
    with tf.Session() as session:
        for fed, summary in (([1.0, 2.0], tf.summary.scalar("b", x)), ([np.nan], tf.summary.histogram("c", x))):
            with pytest.raises(tf.errors.InvalidArgumentError, match="the summary"):
                session.run(summary, {x: fed})
    writer.close()
