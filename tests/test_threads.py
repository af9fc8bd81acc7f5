"""One program called from many threads at once, while its parameters change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from declaration_checks import flat
from numpy.testing import assert_array_equal

import rnngraph as rg

THREADS = 8


def declared() -> tuple[rg.Tensor, rg.Tensor]:
    x = rg.placeholder("x", (None, None, 5))
    cell = rg.DropoutWrapper(rg.GRUCell(17), input_keep_prob=0.7)
    outputs, _ = rg.dynamic_rnn(cell, x)
    return outputs, rg.reduce_mean(rg.square(outputs))


def feeds(number: int) -> np.ndarray:
    generator = np.random.default_rng(number)
    return generator.normal(size=(1 + number % 3, 2 + number % 5, 5)).astype(np.float32)


def test_calls_from_many_threads_give_the_results_of_one_thread() -> None:
    outputs, loss = declared()
    expected = rg.compile({"y": outputs}, loss=loss)
    alone = [flat(expected.inference(x=feeds(n))) | flat(expected.training(x=feeds(n), seed=n)) for n in range(12)]
    program = rg.compile({"y": outputs}, loss=loss)  # not compiled yet, so that the threads also race to compile
    gate = threading.Barrier(THREADS)

    def work(thread: int) -> None:
        gate.wait()
        for turn in range(40):
            number = (thread + turn) % len(alone)
            actual = flat(program.inference(x=feeds(number))) | flat(program.training(x=feeds(number), seed=number))
            for name, array in actual.items():
                assert_array_equal(array, alone[number][name], name)

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(work, thread) for thread in range(THREADS)]:
            future.result()


def test_a_call_sees_the_parameters_of_one_moment() -> None:
    """While one thread replaces parameters, every result has one set or the other, never a mixture."""
    outputs, _ = declared()
    program = rg.compile(outputs)
    x = feeds(5)
    sets = [dict(program.parameters), {name: array * 0.5 for name, array in program.parameters.items()}]
    results = []
    for values in sets:
        program.parameters.load(values)
        results.append(program.inference(x=x))
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            for values in sets:
                program.parameters.load(values)

    def call() -> set[int]:
        seen: set[int] = set()
        for turn in range(20000):  # on a busy machine the other thread may wait for long
            if turn >= 150 and len(seen) == 2:
                break
            actual = program.inference(x=x)
            matching = [number for number, result in enumerate(results) if np.array_equal(actual, result)]
            assert len(matching) == 1, "a mixture of two sets of parameters"
            seen.update(matching)
        return seen

    changer = threading.Thread(target=change)
    changer.start()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            seen = set().union(*[future.result() for future in [pool.submit(call) for _ in range(THREADS)]])
    finally:
        stop.set()
        changer.join()
    assert seen == {0, 1}


def test_a_stream_for_each_thread() -> None:
    outputs, _ = declared()
    program = rg.compile(outputs)
    sequences = [np.random.default_rng(n).normal(size=(2, 30, 5)).astype(np.float32) for n in range(THREADS)]
    expected = [program.inference(x=sequence) for sequence in sequences]

    def run(number: int) -> np.ndarray:
        stream = program.inference.stream(batch=2)
        return np.stack([stream.step(x=sequences[number][:, t]) for t in range(30)], 1)

    with ThreadPoolExecutor(THREADS) as pool:
        for actual, array in zip(pool.map(run, range(THREADS)), expected, strict=True):
            assert_array_equal(actual, array)


def test_seeds_drawn_by_many_threads_differ() -> None:
    outputs, _ = declared()
    program = rg.compile(outputs, seed=1)
    x = feeds(2)
    with ThreadPoolExecutor(THREADS) as pool:
        actual = list(pool.map(lambda _: program.training(x=x).tobytes(), range(64)))
    assert len(set(actual)) == 64
    second = rg.compile(outputs, seed=1)
    assert sorted(second.training(x=x).tobytes() for _ in range(64)) == sorted(actual)


def test_a_call_leaves_the_interpreter_free() -> None:
    """While native code runs in one thread, another thread runs Python.

    A call that held the interpreter's lock would stop the other thread throughout. A busy machine may stop it, too, but
    not for most of three successive long calls.
    """
    x = rg.placeholder("x", (None, None, 64))
    outputs, _ = rg.dynamic_rnn(rg.BasicLSTMCell(128), x)
    program = rg.compile(rg.reduce_sum(outputs[:, -1]))
    feed = np.zeros((8, 20000, 64), np.float32)
    program.inference(x=feed[:, :2])
    assert any(_longest_stop(lambda: program.inference(x=feed)) < 0.5 for _ in range(3))


def _longest_stop(call: Callable[[], object]) -> float:
    """Return the longest pause of this thread during another thread's call, as a fraction of the call's time."""
    took = []

    def timed() -> None:
        begin = time.perf_counter()
        call()
        took.append(time.perf_counter() - begin)

    thread = threading.Thread(target=timed)
    last, longest = time.perf_counter(), 0.0
    thread.start()
    while not took:
        now = time.perf_counter()
        last, longest = now, max(longest, now - last)
    thread.join()
    return longest / took[0]


def test_the_measure_detects_a_lock_that_is_held() -> None:
    slow = [0.5] * 6_000_000
    # each call holds the lock throughout
    assert _longest_stop(lambda: sorted(slow) and sorted(slow) and sum(slow)) > 0.2
