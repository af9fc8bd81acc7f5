"""A queue of frames: batches, deadlines, order, errors of waiting callers, and a clean shutdown."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Future, wait
from functools import cache
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

WIDTH = 3
LONG = 600.0
"""Timeout in seconds that no test reaches."""


@cache
def net() -> tuple[rg.Program, np.ndarray, np.ndarray]:
    x = rg.placeholder("x", (None, None, WIDTH))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(5), x)[0], seed=0)
    samples = np.random.default_rng(0).normal(size=(12, 6, WIDTH)).astype(np.float32)
    return program, samples, program.inference(x=samples)


def served() -> tuple[rg.Program, Any, np.ndarray, np.ndarray]:
    program, samples, whole = net()
    return program, program.inference.streams(4), samples, whole


def results(futures: list[Future[Any]]) -> list[np.ndarray]:
    return [future.result(60) for future in futures]


def test_a_batch_runs_once_it_is_full() -> None:
    _, pool, x, whole = served()
    handles = [pool.open() for _ in range(4)]
    with pool.serve(max_batch=4, max_wait=LONG):
        futures = [pool.submit(handle, x=x[row, 0]) for row, handle in enumerate(handles)]
        np.testing.assert_array_equal(results(futures), whole[:4, 0])


def test_a_frame_waits_no_longer_than_it_may() -> None:
    _, pool, x, whole = served()
    handle = pool.open()
    with pool.serve(max_batch=1000, max_wait=0.001):
        np.testing.assert_array_equal(pool.submit(handle, x=x[0, 0]).result(60), whole[0, 0])


def test_frames_of_a_stream_keep_their_order_and_are_copies() -> None:
    _, pool, x, whole = served()
    one, other = pool.open(), pool.open()
    buffer = np.empty(WIDTH, np.float32)
    with pool.serve(max_batch=2, max_wait=LONG):
        futures = []
        for step in range(6):
            buffer[...] = x[0, step]
            futures.append(pool.submit(one, x=buffer))
        beside = [pool.submit(other, {"x": x[1, step]}) for step in range(6)]
        np.testing.assert_array_equal(results(futures), whole[0])
        np.testing.assert_array_equal(results(beside), whole[1])


def test_closing_runs_or_cancels_waiting_frames() -> None:
    _, pool, x, whole = served()
    handle = pool.open()
    with pool.serve(max_batch=9, max_wait=LONG):
        futures = [pool.submit(handle, x=x[0, step]) for step in range(3)]
    np.testing.assert_array_equal(results(futures), whole[0, :3])
    serving = pool.serve(max_batch=9, max_wait=LONG)
    with pytest.raises(rg.ArgumentError, match="is served already"):
        pool.serve()
    waiting = pool.submit(handle, x=x[0, 3])
    serving.close(cancel=True)
    serving.close()
    with pytest.raises(CancelledError):
        waiting.result(60)
    assert not serving.is_running
    with pytest.raises(rg.ArgumentError, match="is not served"):
        pool.submit(handle, x=x[0, 3])
    np.testing.assert_array_equal(pool.step({handle: {"x": x[0, 3]}})[handle], whole[0, 3])


def test_a_cancelled_frame_is_left_out() -> None:
    _, pool, x, whole = served()
    handle = pool.open()
    with pool.serve(max_batch=9, max_wait=LONG):
        first, second, third = (pool.submit(handle, x=x[0, step]) for step in (0, 5, 1))
        assert second.cancel()
    np.testing.assert_array_equal(results([first, third]), whole[0, :2])


def test_errors_reach_only_the_caller_that_waits() -> None:
    _, pool, x, whole = served()
    one, other, closed = pool.open(), pool.open(), pool.open()
    with pool.serve(max_batch=9, max_wait=LONG):
        good = pool.submit(one, x=x[0, 0])
        misfit, unknown = pool.submit(other, x=x[0]), pool.submit(other, z=1)
        late = [pool.submit(closed, x=x[2, step]) for step in range(2)]
        pool.close(closed)
        discarded = pool.submit(closed, x=x[2, 2])
        for future, kind, text in (
            (misfit, rg.ShapeError, "a step of one stream|rank"),
            (unknown, rg.NameLookupError, "no input 'z'"),
            (late[0], rg.ArgumentError, "was closed before"),
            (late[1], rg.ArgumentError, "was closed before"),
            (discarded, rg.ArgumentError, "is closed"),
        ):
            with pytest.raises(kind, match=text):
                future.result(60)
    np.testing.assert_array_equal(good.result(60), whole[0, 0])
    assert not pool.state(other).any()


def test_frames_of_a_stream_use_the_feeds_of_earlier_ones() -> None:
    x, gain, shift = (
        rg.placeholder(name, shape) for name, shape in (("x", (None, None, 1)), ("gain", ()), ("shift", ()))
    )
    memory, weights = rg.placeholder("memory", (None, "places", 1)), rg.placeholder("weights", (None, None, "places"))
    program = rg.compile(rg.dynamic_rnn(rg.BasicRNNCell(1), x)[0] * 0 + x * gain + shift + weights @ memory)
    pool = program.inference.streams(2)
    handle = pool.open(gain=1.0, shift=0.0, memory=[[0.0]])
    with pool.serve(max_batch=9, max_wait=LONG):
        futures = [
            pool.submit(handle, x=[1.0], weights=[1.0] * places, **held_feeds)
            for places, held_feeds in (
                (1, {"gain": 2.0}),
                (1, {"shift": 5.0}),
                (3, {"memory": [[10.0]] * 3}),
                (3, {}),
                (3, {"gain": 3.0}),
                (1, {"memory": [[0.0]]}),
                (1, {}),
            )
        ]
        assert futures[5].cancel()
    assert [float(future.result(60)[0]) for future in futures[:5]] == [2.0, 7.0, 37.0, 37.0, 38.0]
    # the cancelled request would have fed the missing weights
    with pytest.raises(rg.ShapeError, match="feed weights has shape"):
        futures[6].result(60)


@pytest.mark.parametrize("part", ["_settled", "_run"])
def test_an_error_of_a_batch_reaches_all_of_its_callers(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, pool, x, whole = served()
    handles = [pool.open(), pool.open()]
    with pool.serve(max_batch=2, max_wait=LONG):
        with monkeypatch.context() as patch:
            patch.setattr(pool, part, lambda *_: (_ for _ in ()).throw(MemoryError("no room")))
            broken = [pool.submit(handle, x=x[0, 0]) for handle in handles]
            wait(broken, 60)
        assert all(isinstance(future.exception(60), MemoryError) for future in broken)
        futures = [pool.submit(handle, x=x[row, 0]) for row, handle in enumerate(handles)]
        np.testing.assert_array_equal(results(futures), whole[:2, 0])


def test_changes_of_callers_to_their_futures_do_not_stop_the_server() -> None:
    _, pool, x, whole = served()
    handle = pool.open()

    def leaves(_: Future[Any]) -> None:
        raise SystemExit

    with pool.serve(max_batch=9, max_wait=LONG):
        futures = [pool.submit(handle, x=x[0, step]) for step in range(3)]
        futures[0].add_done_callback(leaves)
        futures[1].set_result(None)
    np.testing.assert_array_equal(futures[2].result(60), whole[0, 2])


def test_wrong_numbers_for_a_queue() -> None:
    _, pool, _, _ = served()
    for options in ({"max_batch": 0}, {"max_wait": -1.0}, {"max_wait": 1e9}):
        with pytest.raises(rg.ArgumentError):
            pool.serve(**options)
    with pytest.raises(rg.DtypeError):
        pool.serve(max_batch=1.5)


def test_threads_submit_frames_of_streams_that_open_and_close() -> None:
    _, pool, x, whole = served()
    wrong: list[int] = []

    def client(row: int) -> None:
        for _ in range(3):
            handle = pool.open()
            actual = results([pool.submit(handle, x=x[row, step]) for step in range(6)])
            if not np.array_equal(actual, whole[row]):
                wrong.append(row)
            pool.close(handle)

    with pool.serve(max_batch=5, max_wait=0.0005):
        threads = [threading.Thread(target=client, args=(row,)) for row in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert (wrong, len(pool)) == ([], 0)


def test_coroutines_await_their_frames() -> None:
    _, pool, x, whole = served()

    async def client(row: int) -> None:
        handle = pool.open()
        for step in range(6):
            np.testing.assert_array_equal(await pool.step_async(handle, x=x[row, step]), whole[row, step])
        pool.close(handle)

    async def cancelled() -> None:
        handle = pool.open()
        task = asyncio.ensure_future(pool.step_async(handle, x=x[0, 3]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not pool.state(handle).any()
        with pytest.raises(rg.ShapeError):
            await pool.step_async(handle, x=x)

    async def every() -> None:
        await asyncio.gather(*map(client, range(12)))

    with pool.serve(max_batch=12, max_wait=0.001):
        asyncio.run(every())
    with pool.serve(max_batch=12, max_wait=LONG):
        asyncio.run(cancelled())
