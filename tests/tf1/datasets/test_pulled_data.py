"""Input pipelines: random orders, Python functions, handles, and sessions that save by themselves."""

from __future__ import annotations

import threading
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


def drained(session: Any, tensor: Any) -> list[Any]:
    results = []
    while True:
        try:
            results.append(session.run(tensor))
        except tf.errors.OutOfRangeError:
            return results


def test_an_element_is_one_for_the_whole_run() -> None:
    x, y = tf.data.Dataset.range(6).map(lambda v: (v, v * 10)).make_one_shot_iterator().get_next()
    both = x + y
    with tf.Session() as session:
        for number in range(3):
            assert session.run([x, y, both, tf.identity(both)]) == [number, number * 10, number * 11, number * 11]
        assert session.run(both, {x: 7}) == 7 + 30
        assert tf.Session().run(x) == 0


def test_orders_that_are_drawn_have_every_element_once() -> None:
    shuffled = tf.data.Dataset.range(20).shuffle(7, seed=1).repeat(2).make_one_shot_iterator().get_next()
    place = tf.train.range_input_producer(20, num_epochs=2, shuffle=True).dequeue()
    batch = tf.train.shuffle_batch([place], 5, 100, 10)
    with tf.Session() as session:
        for results in (drained(session, shuffled), np.concatenate(drained(session, batch)).tolist()):
            assert sorted(results) == sorted([*range(20), *range(20)])
            assert results[:20] != results[20:]
            assert results != sorted(results)


def test_maybe_batch_keeps_elements_one_by_one() -> None:
    groups = tf.train.range_input_producer(9, num_epochs=1, shuffle=False).dequeue_many(3)
    even = tf.train.maybe_batch([groups], tf.equal(tf.floormod(groups, 2), 0), 2, enqueue_many=True)
    single = tf.train.range_input_producer(4, num_epochs=1, shuffle=False).dequeue()
    none, later = (tf.train.maybe_batch([single], keep, 2) for keep in (False, single > 1))
    with tf.Session() as session:
        assert np.concatenate(drained(session, even)).tolist() == [0, 2, 4, 6]
        assert drained(session, none) == []
    with tf.Session() as session:
        assert np.concatenate(drained(session, later)).tolist() == [2, 3]


def test_minus_one_in_counts_and_shapes() -> None:
    numbers = tf.data.Dataset.range(3)
    steps = tf.data.Dataset.from_generator(lambda: iter([[1.0], [2.0, 3.0]]), tf.float32, [None])
    with tf.Session() as session:
        assert session.run(numbers.take(-1).skip(2).make_one_shot_iterator().get_next()) == 2
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(numbers.skip(-1).make_one_shot_iterator().get_next())
        for shape in ([-1], tf.constant([-1], tf.int64)):
            batch = steps.padded_batch(2, shape).make_one_shot_iterator().get_next()
            assert session.run(batch).tolist() == [[1.0, 0.0], [2.0, 3.0]]


def test_texts_stay_in_datasets(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a b\nc\n")
    lines = tf.data.TextLineDataset(str(path))
    assert lines.output_types == tf.string
    words = lines.map(
        lambda line: tf.py_func(lambda text: np.array([len(word) for word in text.split()]), [line], tf.int64)
    )
    following = words.make_one_shot_iterator().get_next()
    with tf.Session() as session:
        assert [item.tolist() for item in drained(session, following)] == [[1, 1], [1]]
    with pytest.raises(rg.NotOfferedError, match="has strings, but Tensors have numbers only"):
        lines.make_one_shot_iterator().get_next()


def test_a_python_function_in_the_graph() -> None:
    x = tf.placeholder(tf.float32, [None, 2])
    calls: list[int] = []

    def doubled(array: np.ndarray) -> np.ndarray:
        calls.append(1)
        return array * 2

    y = tf.py_func(doubled, [x], tf.float32)
    y.set_shape([None, 2])
    w = tf.Variable(tf.ones([2, 1]))
    loss = tf.reduce_sum(tf.matmul(y, w))
    (gradient,) = tf.gradients(loss, w)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        array, slope = session.run([y, gradient], {x: [[1.0, 2.0], [3.0, 4.0]]})
    assert array.tolist() == [[2, 4], [6, 8]]
    assert slope.tolist() == [[8], [12]]
    assert len(calls) == 1


def test_uninitialised_iterators_and_empty_queues_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    own = threading.Thread(name="rnngraph pool")  # a thread of served streams, which adds nothing to queues
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread(), own])
    iterator = tf.data.Dataset.range(3).make_initializable_iterator()
    following, queue = iterator.get_next(), tf.FIFOQueue(3, tf.int32, [[]])
    element = queue.dequeue()
    with tf.Session() as session:
        with pytest.raises(tf.errors.FailedPreconditionError, match="run its initializer first"):
            session.run(following)
        with pytest.raises(tf.errors.FailedPreconditionError, match="the run needs 1, and nothing fills the queue"):
            session.run(element)
        session.run(queue.close())
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(element)
        with pytest.raises(tf.errors.FailedPreconditionError, match="closed"):
            session.run(queue.enqueue(1))


def test_assertions() -> None:
    x = tf.placeholder(tf.int32, [None])
    with tf.control_dependencies([tf.assert_less(x, 5, message="too large")]):
        y = tf.identity(x) + 0
    with tf.Session() as session:
        assert session.run(y, {x: [1, 2]}).tolist() == [1, 2]
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"too large Condition x < y did not hold\. \[1 9\] \[5\]"
        ):
            session.run(y, {x: [1, 9]})
        with pytest.raises(tf.errors.InvalidArgumentError, match="nothing"):
            session.run(tf.Assert(tf.reduce_any(x > 5), ["nothing", x]), {x: [1]})
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.assert_positive([1, -1])
    with pytest.raises(rg.ShapeError, match="must have rank 2"):
        tf.assert_rank(x, 2)


def test_a_graph_is_handed_on() -> None:
    with tf.Graph().as_default() as first:
        w = tf.Variable(2.0, name="w")
        first.add_to_collection("double", w * 2)
        graph = tf.train.export_meta_graph()
    with tf.Graph().as_default():
        saver = tf.train.import_meta_graph(graph)
        assert isinstance(saver, tf.train.Saver)
        (double,) = tf.get_collection("double")
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            assert session.run(double) == 4
        with pytest.raises(rg.NotOfferedError, match=r"tf\.train\.Saver\(\)\.restore"):
            tf.train.import_meta_graph("model.meta")


def test_sessions_that_save_continue_at_their_step(tmp_path: Path) -> None:
    step = tf.train.get_or_create_global_step()
    train = tf.assign_add(step, 1)
    tf.summary.scalar("step", step)
    folder = str(tmp_path / "run")
    for last in (3, 5):
        hooks = [tf.train.StopAtStepHook(last_step=last)]
        with tf.train.MonitoredTrainingSession(checkpoint_dir=folder, hooks=hooks, save_summaries_steps=1) as session:
            while not session.should_stop():
                session.run(train)
        assert tf.train.latest_checkpoint(folder).endswith(f"model.ckpt-{last}")
    supervisor = tf.train.Supervisor(logdir=folder, save_model_secs=1)
    with supervisor.managed_session() as session:
        assert session.run(step) == 5
        assert not supervisor.should_stop()
        supervisor.saver.save(session, supervisor.save_path, supervisor.global_step)
        raise tf.errors.OutOfRangeError("the end of data")
    assert supervisor.should_stop()


def test_a_coordinator_raises_the_error_of_a_thread() -> None:
    coordinator = tf.train.Coordinator()
    with coordinator.stop_on_exception():
        raise ValueError("lost")
    with pytest.raises(ValueError, match="lost"):
        coordinator.join([])
    coordinator.clear_stop()
    coordinator.request_stop(tf.errors.OutOfRangeError("end"))
    coordinator.join([])


def test_reductions_over_datasets_are_not_offered() -> None:
    with pytest.raises(rg.NotOfferedError, match=r"Dataset\.reduce is not offered; read the elements"):
        tf.data.Dataset.range(3).reduce(0, lambda total, x: total + x)
