"""Repeated runs reuse compiled code, and execute few lines of Python."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hot_calls import TIMES, frames, heated
from numpy.testing import assert_array_equal
from training import compiled_once

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.core import session as sessions

pytestmark = pytest.mark.filterwarnings("ignore:.*drops units")

UNITS = 4
X = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
STATE = (np.full((2, UNITS), 0.5, np.float32), np.full((2, UNITS), 0.25, np.float32))


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


class Net:
    """Cell whose state is fed and fetched, with a fed keep probability."""

    def __init__(self) -> None:
        self.x, self.keep = tf.placeholder(tf.float32, [None, None, 3]), tf.placeholder_with_default(1.0, [])
        cell = tf.nn.rnn_cell.BasicLSTMCell(UNITS)
        self.begin = cell.zero_state(2, tf.float32)
        dropped = tf.nn.dropout(self.x, self.keep)
        self.outputs, self.final = tf.nn.dynamic_rnn(cell, dropped, initial_state=self.begin)
        self.loss = tf.reduce_mean(tf.square(self.outputs))
        self.count = tf.train.get_or_create_global_step()
        self.train = tf.train.AdamOptimizer(0.01).minimize(self.loss, self.count)
        self.session = tf.Session()
        self.session.run(tf.global_variables_initializer())


@pytest.fixture
def net() -> Net:
    tf.reset_default_graph()
    tf.set_random_seed(3)
    return Net()


def of_compiling(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a counter of compilations."""
    built: list[Any] = []
    whole = sessions.Run

    def run(*arguments: Any) -> Any:
        built.append(arguments)
        return whole(*arguments)

    monkeypatch.setattr(sessions, "Run", run)
    return built


def test_runs_take_few_steps_in_python(net: Net) -> None:
    """Each line of Python takes 50 ns or more."""
    run, x, begin = net.session.run, net.x, net.begin
    c_h = {x: X, begin.c: STATE[0], begin.h: STATE[1]}
    runs: tuple[tuple[int, Callable[[], Any]], ...] = (
        (98, lambda: run([net.train, net.loss, net.final], {x: X, net.keep: 0.5})),
        (96, lambda: run({"cost": net.loss, "final": net.final, "op": net.train}, c_h)),
        (99, lambda: run([net.train, net.loss, net.final], {x: X, begin: STATE})),
        (83, lambda: run(net.train, {x: X})),
        (21, lambda: run(net.outputs, {x: X})),
        (28, lambda: run([net.outputs, net.final], {x: X, begin: STATE})),
    )
    for max_frames, call in runs:
        heated(call)
        assert frames(call) <= max_frames


def test_compiled_runs_are_reused(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    built, run = of_compiling(monkeypatch), net.session.run
    pair = collections.namedtuple("pair", "a b")
    nests: tuple[Callable[[], Any], ...] = (
        lambda: net.loss,
        lambda: [net.loss],
        lambda: (net.loss,),
        lambda: {"a": net.loss},
        lambda: {"b": net.loss},
        lambda: [[net.loss], net.outputs],
        lambda: [(net.loss,), net.outputs],
        lambda: {"a": [net.loss, net.outputs]},
        lambda: pair(net.loss, net.outputs),
        lambda: [pair(net.loss, [net.outputs])],
        lambda: [net.final],
    )
    for number, nest in enumerate(nests):
        first = run(nest(), {net.x: X})
        assert len(built) == number + 1
        second = run(nest(), {net.x: X})
        assert len(built) == number + 1
        assert rg.map_structure(type, first) == rg.map_structure(type, second)
        assert type(second) is type(first)


def test_changed_nests_are_detected(net: Net) -> None:
    inner, outer = [net.loss], {"a": [net.loss]}
    for fetched, change in (
        ([inner, net.loss], lambda: inner.append(net.outputs)),
        (outer, lambda: outer["a"].append(net.outputs)),
        (outer, lambda: outer.update(b=net.loss)),
        (outer, lambda: outer.pop("a")),
    ):
        net.session.run(fetched, {net.x: X})
        change()
        results = net.session.run(fetched, {net.x: X})
        assert rg.map_structure(lambda _: 0, results) == rg.map_structure(lambda _: 0, fetched)


def test_other_tensors_at_the_same_place_in_memory_are_others(net: Net) -> None:
    """Runs are cached by ids. Sessions keep Tensors of earlier runs alive, and do not cache failed runs."""
    for number in range(4):
        fed = {net.x: X, tf.placeholder(tf.float32, []): 1.0}
        assert net.session.run([net.loss * 0.0 + float(number)], fed) == [number]
        with pytest.raises(rg.RnnGraphError):
            net.session.run([net.loss, object()], fed)


def test_values_and_order_of_feeds_count(net: Net) -> None:
    a, b = tf.placeholder(tf.float32, [2]), tf.placeholder(tf.float32, [2])
    difference = a - b
    for first, second in (([3.0, 4.0], [1.0, 1.0]), ([0.0, 1.0], [5.0, 5.0])):
        expected = np.subtract(first, second)
        assert_array_equal(net.session.run(difference, {a: first, b: second}), expected)
        assert_array_equal(net.session.run(difference, {b: second, a: first}), expected)
        assert_array_equal(net.session.run(difference, {(b, a): (second, first)}), expected)
        assert_array_equal(net.session.run(difference, {(b, a): np.array([second, first])}), expected)


def test_errors_are_raised_at_each_run(net: Net) -> None:
    run = net.session.run
    heated(lambda: run([net.train, net.loss], {net.x: X}))
    for _ in range(3):
        with pytest.raises(rg.ShapeError):
            run([net.train, net.loss], {net.x: X[0]})
        with pytest.raises(rg.RnnGraphError, match=r"outside \(0, 1\]"):
            run([net.train, net.loss], {net.x: X, net.keep: 0.0})
        with pytest.raises(rg.NameLookupError, match="needs"):
            run([net.train, net.loss])
    late = tf.get_variable("late", [3])
    for _ in range(3):
        with pytest.raises(tf.errors.FailedPreconditionError, match="late has no value"):
            run(net.outputs * tf.reduce_sum(late), {net.x: X})
    net.session.close()
    with pytest.raises(rg.ArgumentError, match="closed"):
        run([net.train, net.loss], {net.x: X})


def test_sessions_take_turns(net: Net) -> None:
    other = tf.Session()
    other.run(tf.global_variables_initializer())
    both = [net.session, other]
    alone = [[session.run([net.train, net.count], {net.x: X})[1] for _ in range(TIMES)] for session in both]
    assert alone == [[*range(1, TIMES + 1)]] * 2
    turns = [session.run([net.train, net.count], {net.x: X})[1] for _ in range(5) for session in both]
    assert turns == [number for number in range(TIMES + 1, TIMES + 6) for _ in both]


def test_rates_are_computed_by_the_native_call() -> None:
    """Rates depend on the global step before the update, on an assigned variable, and on feeds."""
    tf.reset_default_graph()
    w, scale, fed = tf.Variable(0.0), tf.Variable(2.0, trainable=False), tf.placeholder(tf.float32, [])
    step = tf.train.get_or_create_global_step()
    decayed = tf.train.exponential_decay(1.0, step, 2, 0.5, staircase=True) * scale
    train = tf.train.GradientDescentOptimizer(decayed).minimize(-w, step)
    with_fed_rate = tf.train.GradientDescentOptimizer(fed).minimize(-w)
    before = 0.0
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())

        def moved(operation: Any, feeds: Any = None) -> float:
            nonlocal before
            session.run(operation, feeds)
            last, before = before, float(session.run(w))
            return before - last

        assert [moved(train) for _ in range(5)] == [2.0, 2.0, 1.0, 1.0, 0.5]
        scale.load(8.0, session)
        assert [moved(train) for _ in range(2)] == [2.0, 1.0]
        assert moved(train, {decayed: 3.0}) == 3.0
        assert [moved(with_fed_rate, {fed: rate}) for rate in (0.5, 4)] == [0.5, 4.0]
        with pytest.raises(rg.NameLookupError, match="Placeholder"):
            session.run(with_fed_rate)


@pytest.mark.exhaustive
def test_threads_may_run_a_session_at_once(net: Net) -> None:
    heated(lambda: net.session.run([net.train, net.loss], {net.x: X}))
    begin = int(net.session.run(net.count))

    def work() -> None:
        for _ in range(50):
            net.session.run([net.train, net.loss, net.final], {net.x: X})
            net.session.run(net.outputs, {net.x: X})

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert net.session.run(net.count) == begin + 150


@pytest.mark.exhaustive
def test_a_global_step_of_any_dtype_is_counted(net: Net) -> None:
    for number, kind in enumerate((tf.int32, tf.int64, tf.float32)):
        step = tf.Variable(7, dtype=kind, trainable=False, name=f"step_{number}")
        train = tf.train.GradientDescentOptimizer(0.1).minimize(net.loss, global_step=step)
        net.session.run(step.initializer)
        for _ in range(TIMES):
            net.session.run(train, {net.x: X})
        results = net.session.run(step)
        assert (results, results.dtype) == (7 + TIMES, kind)
    own = tf.Variable(1.0, name="own")
    with pytest.raises(rg.ArgumentError, match="trainable=False"):
        tf.train.GradientDescentOptimizer(0.1).minimize(net.loss * own, global_step=own)
