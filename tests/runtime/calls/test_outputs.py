"""Prepared calls accept and refuse the same ``out=`` as the slow path; a refused call has no effect."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from alive import all_gone
from bound_listener import LONG, UNITS, WIDTH, Array, data, fed, general, listener, same, unaligned
from numpy.testing import assert_array_equal
from training import compiled_once

import rnngraph as rg
from rnngraph.declare.nest import flatten, map_leaves

ROWS = 2


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


Call = Callable[..., Any]


def calls(steps: int) -> dict[str, tuple[Call, dict[str, Any]]]:
    """Return calls that accept ``out=``, with their feeds. Streams are reset before, so that results repeat."""
    program = listener()
    feeds = fed(ROWS, steps)
    shown = {name: feeds[name] for name in ("x", "who")}
    stream = program.inference.stream(ROWS)
    stream.process(**shown)
    stream.reset()
    begin = stream.state

    def again(call: Call) -> Call:
        def run(*positional: Any, **named: Any) -> Any:
            stream.state = begin
            return call(*positional, **named)

        return run

    return {
        "inference": (program.inference, shown),
        "evaluate": (program.evaluate, {**shown, "y": feeds["y"]}),
        "training": (lambda *positional, **named: program.training(*positional, seed=5, **named), feeds),
        "without the loss": (
            lambda *positional, **named: program.training(*positional, seed=5, **named),
            {**shown, "keep": feeds["keep"]},
        ),
        "step": (again(stream.step), {**shown, "x": feeds["x"][:, 0]}),
        "process": (again(stream.process), shown),
    }


NAMES = ("inference", "evaluate", "training", "without the loss", "step", "process")


def empty(result: Any) -> Any:
    return rg.Result(map_leaves(lambda array: np.full_like(array, 77), result))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 5, LONG])
def test_results_are_written_to_the_given_arrays(name: str, steps: int, general_calls: list[int]) -> None:
    call, feeds = calls(steps)[name]
    expected = general(call, feeds)
    parts = {
        "all": lambda: empty(expected),
        "plain dicts": lambda: dict(empty(expected)),
        "some": lambda: {"logits": np.empty_like(expected["logits"])},
        "inner": lambda: {"inner": {"state": empty(expected)["inner"]["state"]}},
        "a list": lambda: {"inner": {"twice": empty(expected)["inner"]["twice"]}},
        "columns": lambda: {"logits": np.empty((*expected["logits"].shape[:-1], 9), np.float32)[..., 3:7]},
        "one buffer": lambda: one_buffer(expected),
        "not aligned": lambda: {"logits": unaligned(expected["logits"])},
        "Fortran's order": lambda: {"logits": np.empty_like(expected["logits"], order="F")},
    }
    bound = ("all", "plain dicts", "some", "inner", "a list", "one buffer")
    call(**feeds, out=empty(expected))  # a call with out= is prepared like one without
    general_calls.clear()
    same(call(**feeds), expected)
    assert not general_calls or (name == "process" and steps == LONG)
    for what, make in parts.items():
        for positional in ((), (dict(feeds),)):
            general_calls.clear()
            out = make()
            own = flatten(out)
            result = call(*positional, **({} if positional else feeds), out=out)
            same(result, expected)
            actual = {id(array) for array in flatten(result)}
            assert all(id(array) in actual for array in own)
            assert len(actual) == len(flatten(expected))
            if what in bound and not (name == "process" and steps == LONG):
                assert not general_calls, what
    kept = empty(expected)
    for _ in range(3):  # reuse the same arrays
        same(call(**feeds, out=kept), expected)
        same(kept, expected)


def one_buffer(result: Any) -> Any:
    """Return adjacent arrays in one buffer."""
    memory = np.empty(sum(array.size for array in flatten(result)), np.float32)
    at = 0

    def taken(array: Array) -> Array:
        nonlocal at
        at += array.size
        return memory[at - array.size : at].reshape(array.shape)

    return rg.Result(map_leaves(taken, result))


def readonly(array: Array) -> Array:
    array.flags.writeable = False
    return array


class Marked(np.ndarray):
    """User-defined subclass of arrays."""


WRONG: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "another shape": (lambda good: {**good, "logits": np.empty((1, 1), np.float32)}, rg.ShapeError),
    "more axes": (lambda good: {**good, "logits": good["logits"][None]}, rg.ShapeError),
    "another dtype": (lambda good: {**good, "logits": good["logits"].astype(np.float64)}, rg.ShapeError),
    "other bytes": (lambda good: {**good, "logits": good["logits"].astype(">f4")}, rg.ShapeError),
    "read-only": (lambda good: {**good, "logits": readonly(good["logits"])}, rg.DtypeError),
    "elements in one place": (lambda good: {**good, "logits": sliding(good["logits"].shape)}, rg.ArgumentError),
    "no array": (lambda good: {**good, "logits": good["logits"].tolist()}, rg.NameLookupError),
    "nothing": (lambda good: {**good, "logits": None}, rg.DtypeError),
    "no names": (lambda good: {}, rg.StructureError),
    "no mapping": (lambda good: list(good.values()), rg.StructureError),
    "an unknown name": (lambda good: {**good, "other": good["logits"].copy()}, rg.NameLookupError),
    "an unknown name inside": (lambda good: {"inner": {"other": good["logits"]}}, rg.NameLookupError),
    "too many inside": (lambda good: {"inner": {"twice": [*good["inner"]["twice"]] * 2}}, rg.NameLookupError),
    "the same twice": (
        lambda good: {"inner": {"state": good["inner"]["state"]._replace(h=good["inner"]["state"].c)}},
        rg.ArgumentError,
    ),
    "a view of the other": (
        lambda good: {"inner": {"state": good["inner"]["state"]._replace(h=good["inner"]["state"].c[:])}},
        rg.ArgumentError,
    ),
    "overlapping": (lambda good: {"inner": {"state": overlapping(good["inner"]["state"])}}, rg.ArgumentError),
}


def sliding(shape: tuple[int, ...]) -> Array:
    """Return a writable array whose elements overlap along its axes."""
    strides = [4] * len(shape)
    return np.lib.stride_tricks.as_strided(np.zeros(1000, np.float32), shape, strides)


def overlapping(state: Any) -> Any:
    size, shape = state.c.size, state.c.shape
    memory = np.zeros(2 * size - 1, np.float32)
    return type(state)(memory[:size].reshape(shape), memory[size - 1 :].reshape(shape))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_outputs_are_rejected_before_anything_runs(name: str, wrong: str) -> None:
    call, feeds = calls(5)[name]
    expected = general(call, feeds)
    make, kind = WRONG[wrong]
    call(**feeds, out=empty(expected))
    messages = []
    variants: list[Call] = [lambda out: call(**feeds, out=out), lambda out: call(feeds, out=out)]
    for form in (*variants, lambda out: general(call, feeds, out=out)):
        good = empty(expected)
        out = make(good)
        with pytest.raises(kind) as raised:
            form(out)
        messages.append(str(raised.value).split(": ", 1)[1])
        assert "test_outputs.py" in str(raised.value) or "bound_listener.py" in str(raised.value)
        assert all((array == 77).all() for array in flatten(good) if array.flags.owndata)
    assert len({*messages}) == 1
    same(call(**feeds, out=empty(expected)), expected)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_may_change_after_a_good_call(name: str) -> None:
    call, feeds = calls(5)[name]
    expected = general(call, feeds)
    for _ in range(2):
        out = {"logits": np.empty_like(expected["logits"])}
        for _ in range(2):
            call(**feeds, out=out)
        shape = expected["logits"].shape
        out["logits"].resize((*shape[:-1], 9), refcheck=False)
        with pytest.raises(rg.ShapeError):
            call(**feeds, out=out)
        out["logits"].resize(shape, refcheck=False)
        same(call(**feeds, out=out)["logits"], expected["logits"])
        out["logits"].flags.writeable = False
        with pytest.raises(rg.DtypeError):
            call(**feeds, out=out)
        out["logits"].flags.writeable = True
        same(call(**feeds, out=out)["logits"], expected["logits"])


@pytest.mark.parametrize("name", ["inference", "step", "process"])
@pytest.mark.parametrize("steps", [5, LONG])
def test_results_may_reuse_the_memory_of_feeds(name: str, steps: int) -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(WIDTH), x)
    program = rg.compile(outputs + rg.reduce_sum(x, axis=2, keepdims=True))
    whole = data(1, steps, WIDTH)
    feed = whole[:, 0] if name == "step" else whole
    memory = np.zeros(feed.size + 5, np.float32)
    stream = program.inference.stream(1)
    begin = None

    def call(*positional: Any, **named: Any) -> Any:
        if name == "inference":
            return program.inference(*positional, **named)
        if begin is not None:
            stream.state = begin
        return getattr(stream, name)(*positional, **named)

    call(x=feed)
    stream.reset()
    begin = stream.state if name != "inference" else None
    expected = call(MappingProxyType({"x": feed}))
    for start, place in ((0, 0), (5, 0), (0, 5), (0, 1)):
        for _ in range(3):
            feed_view = memory[start : start + feed.size].reshape(feed.shape)
            out = memory[place : place + feed.size].reshape(expected.shape)
            feed_view[...] = feed
            assert call(x=feed_view, out=out) is out
            assert_array_equal(out, expected)
    mine = np.empty_like(expected)
    assert call(x=feed, out=mine) is mine
    assert_array_equal(mine, expected)
    with pytest.raises(rg.ShapeError):
        call(x=feed, out=mine[..., :2])
    with pytest.raises(rg.DtypeError):
        call(x=feed, out=mine.tolist())


def test_large_results_are_written_in_place(general_calls: list[int]) -> None:
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0])
    x = data(1, LONG, WIDTH)
    expected = general(program.inference, {"x": x})
    program.inference(x=x)
    general_calls.clear()
    out = np.empty_like(expected)
    for _ in range(3):
        out[...] = 0
        assert program.inference(x=x, out=out) is out
        assert_array_equal(out, expected)
        assert_array_equal(program.inference(x=x), expected)
    assert not general_calls
    separate = np.zeros((1, LONG, 2 * UNITS), np.float32)[:, :, UNITS:]
    assert_array_equal(program.inference(x=x, out=separate), expected)
    assert not general_calls  # results are computed in other memory and copied


def test_a_loss_has_a_place_too() -> None:
    program, feeds = listener(), fed()
    shown = {name: feeds[name] for name in ("x", "who", "y")}
    for _ in range(3):
        loss = np.zeros((), np.float32)
        assert program.evaluate(**shown, out={"loss": loss})["loss"] is loss
        assert loss == general(program.evaluate, shown)["loss"]
        assert program.training(**feeds, seed=1, out={"loss": loss})["loss"] is loss
    x = rg.placeholder("x", (None, 3))
    without_loss = rg.compile({"y": 2 * x})
    for call in (program.inference, without_loss.inference, without_loss.training):
        fed_names = ("x", "who") if call is program.inference else ()
        inputs = {name: feeds[name] for name in fed_names} or {"x": np.ones((1, 3))}
        with pytest.raises(rg.NameLookupError, match="out= has 'loss', which is not an output"):
            call(**inputs, out={"loss": loss})


def test_a_seed_is_drawn_once_with_out_too() -> None:
    ours, theirs, feeds = listener(seed=4), listener(seed=4), fed()
    out = empty(ours.training(**feeds))
    theirs.training(**feeds)
    for _ in range(3):
        same(ours.training(**feeds, out=out), general(theirs.training, feeds))


@pytest.mark.parametrize("name", NAMES)
def test_arrays_are_not_kept_alive(name: str) -> None:
    for steps in (5, LONG):
        call, feeds = calls(steps)[name]
        for _ in range(3):
            out = empty(call(**feeds))
            call(**feeds, out=out)
            alive = [weakref.ref(array) for array in flatten(out)]
            del out
            assert all_gone(alive)


def test_other_batches_in_turn() -> None:
    program = listener()
    outs: dict[int, Any] = {}
    for rows in (1, 2, 3, 1, 2, 3):
        feeds = {name: fed(rows)[name] for name in ("x", "who")}
        expected = general(program.inference, feeds)
        out = outs.setdefault(rows, empty(expected))
        same(program.inference(**feeds, out=out), expected)
        with pytest.raises(rg.ShapeError):
            program.inference(
                **feeds,
                out=empty(general(program.inference, {k: v[:, :4] if k == "x" else v for k, v in feeds.items()})),
            )


def test_several_threads_write_to_arrays_of_their_own() -> None:
    program = listener()
    calls = [{key: fed(2, steps, seed)[key] for key in ("x", "who")} for steps in (5, LONG) for seed in range(3)]
    expected = [general(program.inference, feeds) for feeds in calls]

    def work(thread: int) -> None:
        outs = [empty(result) for result in expected]
        for turn in range(40):
            number = (thread + turn) % len(calls)
            same(program.inference(**calls[number], out=outs[number]), expected[number])
            same(outs[number], expected[number])
        for out, result in zip(outs, expected, strict=True):
            same(rg.Result(out), result)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
