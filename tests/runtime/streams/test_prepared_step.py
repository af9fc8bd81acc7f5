"""Prepared steps and chunks of streams: feeds in mappings, and held feeds that are repeated at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from bound_listener import UNITS, WIDTH, Array, data, same
from numpy.testing import assert_array_equal
from training import compiled_once

import rnngraph as rg
from rnngraph import tf1
from rnngraph.declare.nest import flatten, map_leaves
from rnngraph.runtime.streams.stream import COPIED

ROWS = 2


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


# Mappings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["step", "process"])
def test_a_stream_takes_mappings_by_name_and_by_placeholder(name: str, general_calls: list[int]) -> None:
    x, y = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("y", (None, None, WIDTH))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), x * 2 + y)[0])
    whole, more = data(ROWS, 12, WIDTH), data(ROWS, 12, WIDTH, seed=1)
    expected = program.inference(x=whole, y=more)
    stream = program.inference.stream(ROWS)
    forms: list[Callable[[Array, Array], tuple[tuple[Any, ...], dict[str, Any]]]] = [
        lambda a, b: ((), {"x": a, "y": b}),
        lambda a, b: (({"x": a, "y": b},), {}),
        lambda a, b: (({x: a, y: b},), {}),
        lambda a, b: (({y: b, "x": a},), {}),
        lambda a, b: (({x: a},), {"y": b}),
    ]
    for turn in range(2):
        for number, form in enumerate(forms):
            at = turn * len(forms) + number
            cut = at if name == "step" else slice(at, at + 1)
            general_calls.clear()
            positional, named = form(whole[:, cut], more[:, cut])
            assert_array_equal(getattr(stream, name)(*positional, **named), expected[:, cut])
            assert turn == 0 or not general_calls
    a, b = whole[:, :1], more[:, :1]
    state = stream.state
    stranger = rg.placeholder("z", (None, None, WIDTH))
    wrong: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
        (({"x": a, x: a, "y": b},), {}, rg.ArgumentError, "x is fed twice"),
        (({"x": a, "y": b},), {"x": a}, rg.ArgumentError, "x is fed twice"),
        (({x: a},), {"x": a}, rg.ArgumentError, "x is fed twice"),
        (({"x": a, "y": b, "z": b},), {}, rg.NameLookupError, "no input 'z'"),
        (({"x": a, y: b, stranger: b},), {}, rg.NameLookupError, "z"),
        (({"x": a},), {}, rg.NameLookupError, "needs y"),
        (([("x", a)],), {}, rg.StructureError, "one mapping"),
    ]
    for positional, named, kind, words in wrong:
        with pytest.raises(kind, match=words) as raised:
            stream.process(*positional, **named)
        assert "test_prepared_step.py" in str(raised.value)
    assert_array_equal(stream.state, state)
    assert_array_equal(stream.process({"x": whole[:, 10:], y: more[:, 10:]}), expected[:, 10:])


# Feeds that are held -------------------------------------------------------------------------------


def held_program() -> rg.Program:
    """Return a program with a knob, an offset and ids for each row, and a fed initial state."""
    x, knob = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("knob", ())
    offset, who = rg.placeholder("offset", (None, WIDTH)), rg.placeholder("who", (None,), "int32")
    start = rg.placeholder("start", (None, UNITS))
    inside = x * knob + (offset + rg.embedding(who, 5, WIDTH))[:, None]
    outputs, state = rg.dynamic_rnn(rg.GRUCell(UNITS), inside, initial_state=start)
    return rg.compile({"outputs": outputs, "state": state}, seed=3)


def held_feeds(seed: int) -> dict[str, Any]:
    return {
        "knob": 0.25 + seed,
        "offset": data(ROWS, WIDTH, seed=seed),
        "who": np.full(ROWS, seed % 5, np.int32),
        "start": data(ROWS, UNITS, seed=9),
    }


def test_constant_feeds_passed_at_every_step_are_bound(general_calls: list[int]) -> None:
    program = held_program()
    ours, theirs = program.inference.stream(ROWS), program.inference.stream(ROWS)
    x = data(ROWS, 60, WIDTH)
    inputs = {"offset": np.empty((ROWS, WIDTH), np.float32)}
    for at in range(30):
        every = held_feeds(at)
        chosen = {name: every[name] for name in ([*every], ["knob"], [], ["offset", "who"], ["start"])[at % 5]}
        if "offset" in chosen:  # the caller reuses one array
            inputs["offset"][...] = chosen["offset"]
            chosen |= inputs
        kind = (float, np.float32, np.float64, lambda value: np.array(value, np.float32))[at % 4]
        if "knob" in chosen:
            chosen["knob"] = kind(chosen["knob"])
        cut = at if at % 3 else slice(at, at + 2)
        feeds = {"x": x[:, cut], **chosen}
        name = "step" if at % 3 else "process"
        general_calls.clear()
        mine = getattr(ours, name)(feeds) if at % 2 else getattr(ours, name)(**feeds)
        assert at < 4 or not general_calls, at
        same(mine, getattr(theirs, name)(MappingProxyType(feeds)))
        inputs["offset"][...] = np.nan  # streams hold a copy
    ours.reset()
    theirs.reset()
    same(ours.step(x=x[:, 0]), theirs.step(MappingProxyType({"x": x[:, 0]})))


def test_constant_feeds_determine_initial_states() -> None:
    program = held_program()
    x = data(ROWS, 6, WIDTH)
    stream = program.inference.stream(ROWS)
    for seed in range(4):
        every = held_feeds(1) | {"start": data(ROWS, UNITS, seed=seed)}
        whole = program.inference(x=x, **every)["outputs"]
        if seed:
            stream.step(x=x[:, 0], **every)  # a new start takes effect at a reset
            stream.reset()
        assert_array_equal(stream.step(x=x[:, 0], **every)["outputs"], whole[:, 0])
        assert_array_equal(stream.process(x=x[:, 1:])["outputs"], whole[:, 1:])


def test_a_failed_call_keeps_the_constant_feeds() -> None:
    program = held_program()
    x = data(ROWS, 40, WIDTH)
    ours, theirs = program.inference.stream(ROWS), program.inference.stream(ROWS)
    for stream in (ours, theirs):
        for _ in range(2):
            stream.step(x=x[:, 0], **held_feeds(1))
            stream.process(x=x[:, :2], **held_feeds(1))
    good = held_feeds(2)
    out = {"outputs": np.full((ROWS, UNITS), 77, np.float32)}
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({**good, "who": np.array([0, 5], np.int32)}, rg.ShapeError),
        ({**good, "who": np.array([-1, 0], np.int32)}, rg.ShapeError),
        ({**good, "offset": data(ROWS + 1, WIDTH)}, rg.ShapeError),
        ({**good, "offset": data(ROWS, WIDTH).astype(complex)}, rg.DtypeError),
        ({**good, "other": 1.0}, rg.NameLookupError),
        ({**good, "knob": np.ones(2)}, rg.ShapeError),
        ({**good, "x": x[:, 0, :2]}, rg.ShapeError),
        ({**good, "out": {"outputs": out["outputs"][:1]}}, rg.ShapeError),
        ({**good, "rows": 7}, rg.ShapeError),
    ]
    for turn, (feeds, kind) in enumerate(wrong):
        with pytest.raises(kind) as raised:
            ours.step(**{"x": x[:, 0], "out": out, **feeds})
        assert "test_prepared_step.py" in str(raised.value)
        assert (out["outputs"] == 77).all()
        same(ours.step(x=x[:, turn]), theirs.step(MappingProxyType({"x": x[:, turn]})))
        same(ours.process(x=x[:, turn : turn + 2]), theirs.process(MappingProxyType({"x": x[:, turn : turn + 2]})))


def test_a_number_that_is_too_large_does_not_change_the_stream() -> None:
    program = held_program()
    x = data(ROWS, 4, WIDTH)
    ours, theirs = program.inference.stream(ROWS), program.inference.stream(ROWS)
    for stream in (ours, theirs):
        for _ in range(2):
            stream.step(x=x[:, 0], **held_feeds(1))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        ours.step(x=x[:, 1], offset=data(ROWS, WIDTH, seed=5), knob=1e300)
    same(ours.step(x=x[:, 1]), theirs.step(MappingProxyType({"x": x[:, 1]})))


def test_streams_share_no_defaults() -> None:
    """Each stream has its own copy of a placeholder's default."""
    x = rg.placeholder("x", (None, None, WIDTH))
    knob = tf1.placeholder_with_default(np.float32(2.0), ())
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), x * knob)[0])
    whole = data(ROWS, 3, WIDTH)
    expected = program.inference(x=whole)
    first, second = program.inference.stream(ROWS), program.inference.stream(ROWS)
    for _ in range(3):
        first.step({x: whole[:, 0], knob: 7.0})
    for at in range(3):
        assert_array_equal(second.step(x=whole[:, at]), expected[:, at])
    assert_array_equal(program.inference(x=whole), expected)


def test_rows_and_out_and_constant_feeds_together() -> None:
    program = held_program()
    x = data(ROWS, 12, WIDTH)
    ours, theirs = program.inference.stream(ROWS), program.inference.stream(ROWS)
    for at in range(12):
        feeds = {"x": x[:, at], **held_feeds(at)}
        rows = None if at % 3 == 0 else [at % 2]
        expected = theirs.step(MappingProxyType(feeds), rows=rows)
        out = map_leaves(np.empty_like, expected) if at % 4 else None
        result = ours.step(feeds, rows=rows, out=out)
        same(result, expected)
        if out is not None:
            assert all(a is b for a, b in zip(flatten(result), flatten(out), strict=True))


@pytest.mark.parametrize("order", ["steps apart", "one after the other"])
def test_large_steps_are_read_and_written_in_place(order: str, general_calls: list[int]) -> None:
    """Feeds and results exceed the size below which they are copied, and some rows are not stepped."""
    rows, steps = COPIED // (WIDTH * 4) + 3, 6
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0])
    whole = data(rows, steps, WIDTH)
    fed = whole if order == "steps apart" else np.ascontiguousarray(whole.swapaxes(0, 1)).swapaxes(0, 1)
    expected = program.inference(x=whole)
    stream, mine = program.inference.stream(rows), np.full((rows, UNITS), 77, np.float32)
    assert_array_equal(stream.step(x=fed[:, 0]), expected[:, 0])
    general_calls.clear()
    assert_array_equal(stream.step(x=fed[:, 1]), expected[:, 1])
    assert stream.step(x=fed[:, 2], out=mine) is mine
    assert_array_equal(mine, expected[:, 2])
    before = stream.state
    kept = np.arange(rows) % 3 == 0
    for out in (None, mine):
        stream.state = before
        actual = stream.step(x=fed[:, 3], rows=kept, out=out)
        assert_array_equal(actual[kept], expected[kept, 3])
        assert not actual[~kept].any()
        assert_array_equal(stream.state[~kept], before[~kept])
    stream.state = before
    separate = np.zeros((rows, 2 * UNITS), np.float32)[:, ::2]  # native code can't write to strided memory
    assert_array_equal(stream.step(x=fed[:, 3], rows=kept, out=separate), actual)
    assert not general_calls
    stream.state = before
    assert_array_equal(stream.process(x=fed[:, 3:]), expected[:, 3:])
    general_calls.clear()
    stream.state = before
    assert_array_equal(stream.process(x=fed[:, 3:]), expected[:, 3:])
    assert not general_calls
