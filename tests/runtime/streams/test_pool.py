"""Pools of streams: opening, closing, stepping, held feeds, and errors without effects."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from bound_listener import data
from systems import needs

import rnngraph as rg

WIDTH, UNITS = 3, 7
Array = np.ndarray


def simple(**options: Any) -> rg.Program:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(UNITS), x)
    return rg.compile({"y": rg.dense(outputs, 2)}, seed=0, **options)


def knobs() -> rg.Program:
    """Return a program with a shared knob, a gain for each row, a memory, and a fed initial state."""
    x = rg.placeholder("x", (None, None, WIDTH))
    knob, gain = rg.placeholder("knob", ()), rg.placeholder("gain", (None, UNITS))
    memory, first = rg.placeholder("memory", (None, "places", UNITS)), rg.placeholder("first", (None, UNITS))

    class Looking(rg.Wrapper):
        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            output, state = p.cell(None, self.cell)(x * knob, state)
            return output * gain + rg.reduce_sum(memory * output[:, None], axis=1), state

    outputs, _ = rg.dynamic_rnn(Looking(rg.GRUCell(UNITS)), x, initial_state=first)
    return rg.compile(outputs, seed=0)


def feeds_held(row: int, places: int = 4, knob: float = 0.5) -> dict[str, Any]:
    return {
        "knob": knob,
        "gain": data(UNITS, seed=row),
        "memory": data(places, UNITS, seed=row),
        "first": data(UNITS, seed=row + 50),
    }


def alone(program: rg.Program, held_feeds: dict[str, Any], x: Array) -> list[Array]:
    stream = program.inference.stream()
    whole = {name: value if name == "knob" else value[None] for name, value in held_feeds.items()}
    return [stream.step(x=step[None], **whole)[0] for step in x]


def test_streams_have_their_own_constant_feeds() -> None:
    program, x = knobs(), data(6, 5, WIDTH)
    each = [
        feeds_held(0),
        feeds_held(1),
        feeds_held(2, knob=0.25),
        feeds_held(3, places=2),
        feeds_held(4, places=2, knob=0.25),
        feeds_held(5),
    ]
    expected = [alone(program, feeds, rows) for feeds, rows in zip(each, x, strict=True)]
    pool = program.inference.streams(2)
    handles = [pool.open(**feeds) for feeds in each]
    for step in range(4):
        actual = pool.step({handle: {"x": x[row, step]} for row, handle in enumerate(handles)})
        for row, handle in enumerate(handles):
            np.testing.assert_array_equal(actual[handle], expected[row][step])
    joined = pool.step_rows(handles[::-1], x=x[::-1, 4])
    np.testing.assert_array_equal(joined, [rows[4] for rows in expected[::-1]])


def test_constant_feeds_may_be_fed_again() -> None:
    program, x = knobs(), data(2, 4, WIDTH)
    pool, stream = program.inference.streams(2), program.inference.stream()
    one, other = pool.open(**feeds_held(0)), pool.open(**feeds_held(1))
    first = {name: np.asarray(value)[None] if name != "knob" else value for name, value in feeds_held(0).items()}
    changes: list[dict[str, Any]] = [{}, {"knob": 0.25}, {"gain": data(UNITS, seed=9)}, {"memory": data(3, UNITS)}]
    beside = alone(program, feeds_held(1), x[1])
    for step, change in enumerate(changes):
        whole = {name: value if name == "knob" else value[None] for name, value in change.items()}
        expected = stream.step(x=x[:1, step], **(first if step == 0 else {}), **whole)
        actual = pool.step({one: {"x": x[0, step], **change}, other: {"x": x[1, step]}})
        np.testing.assert_array_equal(actual[one], expected[0])
        np.testing.assert_array_equal(actual[other], beside[step])
    second = program.inference.streams(2)
    handles = [second.open(**feeds_held(0)), second.open(**feeds_held(0))]
    gains = data(2, UNITS, seed=3)
    found_rows = second.step_rows(handles, x=x[:, 0], gain=gains, knob=0.75)
    for row in range(2):
        mine = {**feeds_held(0), "gain": gains[row], "knob": 0.75}
        np.testing.assert_array_equal(found_rows[row], alone(program, mine, x[row, :1])[0])


def sized() -> rg.Program:
    """Return a program with a memory of open size, and as many weights at each step."""
    x, weights = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("weights", (None, None, "places"))
    memory = rg.placeholder("memory", (None, "places", UNITS))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(UNITS), x)
    return rg.compile(outputs + weights @ memory, seed=0)


def test_new_constant_feeds_may_have_sizes_of_steps() -> None:
    program, x = sized(), data(4, WIDTH)
    pool, stream = program.inference.streams(2), program.inference.stream()
    handle = pool.open(memory=data(1, UNITS))

    def fed(step: int, weights: int, memory: int | None = None) -> dict[str, Array]:
        held_feeds = {} if memory is None else {"memory": data(memory, UNITS)}
        return {"x": x[step], "weights": data(weights), **held_feeds}

    def rows(arrays: dict[str, Array]) -> dict[str, Array]:
        return {name: value[None] for name, value in arrays.items()}

    np.testing.assert_array_equal(pool.step({handle: fed(0, 1)})[handle], stream.step(rows(fed(0, 1, 1)))[0])
    before = pool.state(handle)
    for wrong in (fed(1, 1, 3), fed(1, 3), fed(1, 3, 1)):  # a single weight would broadcast to all places
        for call in (lambda inputs: pool.step({handle: inputs}), lambda inputs: pool.step_rows([handle], rows(inputs))):
            with pytest.raises(rg.ShapeError, match="feed weights has shape"):
                call(wrong)
    np.testing.assert_array_equal(pool.state(handle), before)
    for step, inputs in enumerate((fed(1, 3, 3), fed(2, 3), fed(3, 2, 2))):
        expected = stream.step(rows(inputs))[0]
        actual = pool.step({handle: inputs})[handle] if step != 2 else pool.step_rows([handle], rows(inputs))[0]
        np.testing.assert_array_equal(actual, expected)


def test_streams_that_do_not_fit_into_one_array_keep_their_feeds() -> None:
    x, memory = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("memory", (None, "places", UNITS))
    gain = rg.placeholder("gain", (None, UNITS))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(UNITS), x)
    program = rg.compile({"y": outputs * gain[:, None], "scores": outputs @ rg.transpose(memory, (0, 2, 1))}, seed=0)
    pool, samples = program.inference.streams(2), data(2, WIDTH)
    handles = [pool.open(memory=data(places, UNITS), gain=np.ones(UNITS)) for places in (2, 3)]
    with pytest.raises(rg.ShapeError, match="scores has different shapes"):
        pool.step_rows(handles, x=samples, gain=np.zeros((2, UNITS)))
    assert np.all(pool.step({handles[0]: {"x": samples[0]}})[handles[0]]["y"])


def test_a_pool_stays_in_its_process() -> None:
    pool = simple().inference.streams(1)
    handle = pool.open()
    for item in (pool, handle):
        for call in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(rg.GraphError, match="state_bytes"):
                call(item)
    with pool.serve() as serving, pytest.raises(rg.GraphError, match="thread"):
        pickle.dumps(serving)


def test_results_have_an_axis_of_rows_where_feeds_have_one() -> None:
    program, x = simple(), data(1, 2, WIDTH)
    whole = program.inference(x=x)["y"]
    pool = program.inference.streams(1)
    handle = pool.open()
    np.testing.assert_array_equal(pool.step({handle: {"x": x[0, 0]}})[handle]["y"], whole[0, 0])
    np.testing.assert_array_equal(pool.step({handle: {"x": x[:, 1]}})[handle]["y"], whole[:, 1])
    assert pool.step({}) == {}
    pool.reset(handle)
    np.testing.assert_array_equal(pool.step_rows(iter([handle]), x=x[:, 0])["y"], whole[:, 0])  # type: ignore[arg-type]
    assert pool.step_rows([], x=np.zeros((0, WIDTH)))["y"].shape == (0, 2)


def test_a_pool_grows_and_reuses_rows() -> None:
    program, x = simple(), data(40, 3, WIDTH)
    whole = program.inference(x=x)["y"]
    pool = program.inference.streams(3)
    handles = [pool.open() for _ in range(20)]
    for step in range(2):
        np.testing.assert_array_equal(pool.step_rows(handles, x=x[:20, step])["y"], whole[:20, step])
    for handle in handles[::2]:
        pool.close(handle)
    later = [pool.open() for _ in range(20)]
    assert (len(pool), pool.capacity >= 30) == (30, True)
    np.testing.assert_array_equal(pool.step_rows(later, x=x[20:, 0])["y"], whole[20:, 0])
    np.testing.assert_array_equal(pool.step_rows(handles[1::2], x=x[1:20:2, 2])["y"], whole[1:20:2, 2])


def test_rows_of_handles_without_references_are_freed() -> None:
    """This includes handles of the last call and of finished frames, and handles freed during a call."""
    program, x = simple(), data(4, 3, WIDTH)
    whole, pool = program.inference(x=x)["y"], program.inference.streams(4)
    kept = pool.open()
    for _ in range(20):
        callers = [kept, *(pool.open() for _ in range(3))]
        pool.reset(kept)
        np.testing.assert_array_equal(pool.step_rows(callers, x=x[:, 0])["y"], whole[:, 0])
        np.testing.assert_array_equal(pool.step_rows(callers, x=x[:, 1])["y"], whole[:, 1])
        del callers
        assert pool.capacity == 4
    second = [pool.open() for _ in range(3)]  # these reuse the rows of the last call's handles
    assert (len(pool), pool.capacity) == (4, 4)
    np.testing.assert_array_equal(pool.step_rows([kept], x=x[:1, 2])["y"], whole[:1, 2])
    with pool.serve(max_wait=0.0):
        answers = [pool.submit(second.pop(), x=x[row, 0]) for row in (1, 2, 3)]
        for row, answer in enumerate(answers, 1):
            np.testing.assert_array_equal(answer.result()["y"], whole[row, 0])
    assert len(pool) == 1
    assert len({pool.open(), pool.open(), pool.open()}) == 3
    assert (len(pool), pool.capacity) == (1, 4)


def test_a_handle_may_be_freed_during_a_call_of_a_thread() -> None:
    """Freeing a handle waits for no lock."""
    program = simple()
    pool = program.inference.streams(2)
    handles = [pool.open(), pool.open()]
    with pool._lock:
        thread = threading.Thread(target=handles.pop)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
    assert len(pool) == 1
    pool.close(handles[0])
    assert len(pool) == 0
    assert len({pool.open(), pool.open()}) == 2
    assert pool.capacity == 2


def test_a_handle_is_freed_together_with_its_pool() -> None:
    pool = simple().inference.streams(2)
    whole = weakref.ref(pool)
    pool.keeps = pool.open()  # type: ignore[attr-defined]
    del pool
    gc.collect()
    assert whole() is None


def test_states_move_between_pools_streams_and_processes() -> None:
    program, x = simple(), data(1, 6, WIDTH)
    whole = program.inference(x=x)["y"][0]
    pool, other, stream = program.inference.streams(2), program.inference.streams(2), program.inference.stream()
    handle = pool.open()
    pool.step({handle: {"x": x[0, 0]}})
    moved = other.open(state=pool.state(handle))
    np.testing.assert_array_equal(other.step({moved: {"x": x[0, 1]}})[moved]["y"], whole[1])
    stream.load_state_bytes(other.state_bytes(moved))
    np.testing.assert_array_equal(stream.step(x=x[:, 2])["y"][0], whole[2])
    back = pool.open(state=stream.state_bytes())
    np.testing.assert_array_equal(pool.step({back: {"x": x[0, 3]}})[back]["y"], whole[3])
    pool.reset(back)
    np.testing.assert_array_equal(pool.step({back: {"x": x[0, 0]}})[back]["y"], whole[0])
    with pytest.raises(rg.StructureError):
        pool.open(state={"c": 1})
    with pytest.raises(rg.FileError):
        pool.open(state=b"nothing")


def test_streams_of_several_rates_that_are_late() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    front = rg.conv1d(rg.relu(rg.conv1d(x, 5, 3, "same")), 4, 4, "same", strides=2)
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), front)[0], seed=0)
    samples = data(5, 13, WIDTH)
    pool = program.inference.streams(2)
    assert (pool.rate, pool.delay) == (2, program.inference.stream().delay)
    live: dict[Any, list[Any]] = {}
    for turn in range(16):
        if turn < 5:
            live[pool.open()] = [turn, 0, []]
        chosen = [handle for number, handle in enumerate(live) if (number + turn) % 3 and live[handle][1] < 12]
        fed = {handle: {"x": samples[live[handle][0], live[handle][1] :][:2]} for handle in chosen}
        for handle, result in pool.step(fed).items():
            live[handle][1] += 2
            live[handle][2].append(result)
    for handle, (row, done, parts) in live.items():
        while done < 12:
            parts.append(pool.step({handle: {"x": samples[row, done : done + 2]}})[handle])
            done += 2
        stream = program.inference.stream()
        expected = np.concatenate([stream.process(x=samples[row : row + 1, :12]), stream.flush()], 1)[0]
        tail = pool.flush(handle)
        np.testing.assert_array_equal(np.concatenate([np.stack(parts), tail]), expected)
        second = pool.step({handle: {"x": samples[row, :2]}})[handle]
        np.testing.assert_array_equal(second, parts[0])


def test_changed_parameters_take_effect_at_the_next_step() -> None:
    program, x = simple(), data(4, 2, WIDTH)
    pool, stream = program.inference.streams(4), program.inference.stream(batch=4)
    handles = [pool.open() for _ in range(4)]
    for step in range(2):
        actual, expected = pool.step_rows(handles, x=x[:, step])["y"], stream.step(x=x[:, step])["y"]
        np.testing.assert_array_equal(actual, expected)
        program.parameters["dense/kernel"] = 2 * program.parameters["dense/kernel"]


def test_streams_begin_with_the_learned_initial_state() -> None:
    class Started(rg.Cell):
        def state(self) -> Any:
            return {"h": UNITS}

        def initial_state(self, p: rg.Scope) -> Any:
            return {"h": rg.tanh(p.bias("start", (UNITS,)) + 0.3)}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
            h = rg.tanh(x @ p.kernel("w", (x.width, UNITS)) + state["h"])
            return h, {"h": h}

    x = rg.placeholder("x", (None, None, WIDTH))
    program = rg.compile(rg.dynamic_rnn(Started(), x)[0], seed=0)
    pool, samples = program.inference.streams(2), data(1, 1, WIDTH)
    (start,) = (name for name in program.parameters if name.endswith("start"))
    for _ in range(2):
        handle = pool.open()
        np.testing.assert_array_equal(
            pool.step({handle: {"x": samples[0, 0]}})[handle], program.inference(x=samples)[0, 0]
        )
        program.parameters[start] = program.parameters[start] + 1


def test_a_stream_with_a_state_needs_no_feed_of_initial_states() -> None:
    program, x = knobs(), data(1, WIDTH)
    pool = program.inference.streams(2)
    feeds = feeds_held(0)
    first = pool.open(**feeds)
    del feeds["first"]
    with pytest.raises(rg.NameLookupError, match="needs first; give it to open"):
        pool.open(**feeds)
    second = pool.open(feeds, state=pool.state(first))
    actual = pool.step({first: {"x": x[0]}, second: {"x": x[0]}})
    np.testing.assert_array_equal(actual[first], actual[second])
    with pytest.raises(rg.NameLookupError, match="needs first"):
        pool.reset(second)


def test_threads_have_rows_of_their_own() -> None:
    program, x = simple(threads=2), data(150, 3, WIDTH)
    whole = program.inference(x=x)["y"]
    pool = program.inference.streams(150)
    handles = [pool.open() for _ in range(150)]
    steps = next(iter(pool._tables.values())).steps
    steps._parts = lambda count: 2  # type: ignore[method-assign]  # as if it were worth it
    for step in range(3):
        np.testing.assert_array_equal(pool.step_rows(handles, x=x[:, step])["y"], whole[:, step])


def test_many_threads_may_step_a_pool() -> None:
    program, x = simple(), data(24, 5, WIDTH)
    whole, pool = program.inference(x=x)["y"], program.inference.streams(2)
    wrong: list[int] = []

    def work(first: int) -> None:
        for row in range(first, 24, 4):
            handle = pool.open()
            for step in range(5):
                if not np.array_equal(pool.step({handle: {"x": x[row, step]}})[handle]["y"], whole[row, step]):
                    wrong.append(row)
            pool.close(handle)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (wrong, len(pool)) == ([], 0)


def test_errors_step_no_stream() -> None:
    program, x = simple(), data(3, WIDTH)
    pool, other = program.inference.streams(2), program.inference.streams(2)
    one, two, closed, foreign = pool.open(), pool.open(), pool.open(), other.open()
    pool.close(closed)
    pool.step({one: {"x": x[1]}})
    before = [np.concatenate([*pool.state(handle)]) for handle in (one, two)]
    good = {"x": x[0]}
    wrong: list[tuple[type[Exception], str, Any]] = [
        (rg.ArgumentError, "is closed; open another", lambda: pool.step({one: good, closed: good})),
        (rg.ArgumentError, "another pool", lambda: pool.step({one: good, foreign: good})),
        (rg.DtypeError, "the handle that pool.open returned", lambda: pool.step({one: good, 3: good})),  # type: ignore[dict-item]
        (rg.ShapeError, r"takes \(3,\) or \(1, 3\)", lambda: pool.step({one: good, two: {"x": x[0, :2]}})),
        (rg.ShapeError, "rank", lambda: pool.step({one: good, two: {"x": x[None]}})),
        (rg.NameLookupError, "needs x", lambda: pool.step({one: good, two: {}})),
        (rg.NameLookupError, "no input 'z'", lambda: pool.step({one: good, two: {"x": x[0], "z": 1}})),
        (rg.StructureError, "one mapping", lambda: pool.step([one])),  # type: ignore[arg-type]
        (rg.ArgumentError, "given twice", lambda: pool.step_rows([one, two, one], x=x)),
        (rg.ArgumentError, "is closed", lambda: pool.step_rows([one, closed], x=x[:2])),
        (rg.ArgumentError, "another pool", lambda: pool.step_rows([one, foreign], x=x[:2])),
        (rg.ShapeError, r"2 streams takes \(2, 3\)", lambda: pool.step_rows([one, two], x=x)),
        (rg.NameLookupError, "needs x", lambda: pool.step_rows([one, two])),
        (rg.DtypeError, "sequence", lambda: pool.step_rows(3, x=x)),  # type: ignore[arg-type]
        (rg.ArgumentError, "is closed", lambda: pool.close(closed)),
        (rg.ArgumentError, "is closed", lambda: pool.state(closed)),
        (rg.NameLookupError, "x has a time axis", lambda: pool.open(x=x)),
        (rg.ArgumentError, "is not served", lambda: pool.submit(one, x=x[0])),
        (rg.ArgumentError, "at least 1", lambda: program.inference.streams(0)),
    ]
    for kind, text, call in wrong:
        with pytest.raises(kind, match=text):
            call()
        after = [np.concatenate([*pool.state(handle)]) for handle in (one, two)]
        np.testing.assert_array_equal(after, before, text)
    assert len(pool) == 2


def test_a_number_a_step_that_all_rows_would_share_is_each_streams_own() -> None:
    x, gain = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("gain", (None,))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x * rg.reshape(gain, (1, -1, 1)))
    program = rg.compile({"y": outputs, "twice": gain * 2}, seed=0)
    samples, gains = data(2, 3, WIDTH), data(2, 3)
    pool = program.inference.streams(2)
    handles = [pool.open(), pool.open()]
    whole = [program.inference(x=samples[row : row + 1], gain=gains[row]) for row in range(2)]
    for step in range(3):
        fed = {handle: {"x": samples[row, None, step], "gain": gains[row, step]} for row, handle in enumerate(handles)}
        for row, result in enumerate(pool.step(fed).values()):
            np.testing.assert_array_equal(result["y"], whole[row]["y"][:, step])
            np.testing.assert_array_equal(result["twice"], whole[row]["twice"][step])


def test_numbers_out_of_range_step_no_stream() -> None:
    ids = rg.placeholder("ids", (None, None), "int64")
    table = rg.parameter("table", (5, WIDTH))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(4), rg.gather(table, ids))[0])
    pool = program.inference.streams(2)
    handles = [pool.open(), pool.open()]
    for call in (
        lambda: pool.step({handles[0]: {"ids": 1}, handles[1]: {"ids": 5}}),
        lambda: pool.step_rows(handles, ids=np.array([1, -1])),
    ):
        with pytest.raises(rg.ShapeError, match=r"must be in 0\.\.4"):
            call()
    assert not pool.state(handles[0]).any()
    stream = program.inference.stream(batch=2)
    expected = stream.step(ids=[1, 4])
    np.testing.assert_array_equal(pool.step_rows(handles, ids=np.array([1, 4])), expected)


MANY_SUMS: dict[str, tuple[rg.Cell, dict[str, Any]]] = {
    "eight gates": (rg.NASCell(8), {}),
    "four gates of bytes": (rg.LSTMCell(8), {"weights": "int8", "target": "x86-64-v3"}),
}
"""Cells with so many sums that a tile has one row."""


@pytest.mark.parametrize("name", ["eight gates", pytest.param("four gates of bytes", marks=needs("x86-64-v3"))])
def test_tiles_of_one_row_run_all_streams(name: str) -> None:
    (cell, options), samples = MANY_SUMS[name], data(5, 3, WIDTH)
    program = rg.compile(rg.dynamic_rnn(cell, rg.placeholder("x", (None, None, WIDTH)))[0], **options)
    pool, whole = program.inference.streams(2), program.inference(x=samples)
    handles = [pool.open() for _ in range(5)]
    for step, count in enumerate((5, 2, 1)):
        actual = pool.step_rows(handles[:count], x=samples[:count, step])
        np.testing.assert_array_equal(actual, whole[:count, step])


def test_rows_that_a_net_mixes_are_run_alone() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(4), x - rg.reduce_mean(x, axis=0, keepdims=True))[0])
    pool, stream = program.inference.streams(2), program.inference.stream()
    handles, samples = [pool.open(), pool.open()], data(2, WIDTH)
    expected = stream.step(x=samples[:1])
    np.testing.assert_array_equal(pool.step_rows(handles, x=samples)[0], expected[0])


def test_graphs_that_no_stream_can_run_are_rejected_with_their_line() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    (forward, _), _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(4), rg.GRUCell(4), x)
    both = rg.compile({"y": forward, "z": forward[:, ::-1]})
    with pytest.raises(rg.GraphError, match=r"test_pool\.py:\d+"):
        both.inference.streams(4)
    open_width = rg.placeholder("w", (None, None, "places", 4))
    summed = rg.dynamic_rnn(rg.GRUCell(3), rg.reduce_sum(open_width, axis=2))[0]
    with pytest.raises(rg.ShapeError, match="declare it as an int"):
        rg.compile(summed).inference.streams(2)


SCRIPT = """
import os, sys
import numpy as np
import rnngraph as rg

x = rg.placeholder("x", (None, None, 3))
pool = rg.compile(rg.dynamic_rnn(rg.GRUCell(4), x)[0], seed=0).inference.streams(4)
handle = pool.open()
with pool.serve(max_wait=0.0):
    first = pool.submit(handle, x=np.ones(3, np.float32)).result(60)
    child = os.fork()
    if child == 0:
        second = pool.step({handle: {"x": np.ones(3, np.float32)}})[handle]
        try:
            pool.submit(handle, x=np.ones(3, np.float32))
        except rg.ArgumentError:
            with pool.serve(max_wait=0.0):
                third = pool.submit(handle, x=np.ones(3, np.float32)).result(60)
            os._exit(0 if not np.array_equal(first, second) and third.shape == (4,) else 2)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
pool.serve(max_wait=600.0)
waiting = pool.submit(handle, x=np.ones(3, np.float32))
print("done")
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="a system without forks")
def test_a_process_forks_and_ends_while_a_pool_serves() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
