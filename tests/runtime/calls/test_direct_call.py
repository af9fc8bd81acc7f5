"""Calls and steps in machine code equal those in Python, and leave unusual arguments to Python."""

from __future__ import annotations

import bdb
import gc
import inspect
import pickle
import sys
import threading
import time
import tracemalloc
import weakref
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hot_calls import TIMES, direct_only, frames, heated
from numpy.testing import assert_array_equal
from training import compiled_once

import rnngraph as rg
from rnngraph.declare.nest import flatten, map_leaves
from rnngraph.runtime.calls import direct_call
from rnngraph.runtime.direct import direct_code, python_api
from rnngraph.runtime.direct.direct_code import DIRECT, DirectCode
from rnngraph.runtime.streams.stream import Stream

WIDTH, UNITS = 3, 7
Pair = namedtuple("Pair", "first second")
STRUCTURES: dict[str, Callable[[Any, Any], Any]] = {
    "bare": lambda outputs, state: outputs,
    "named": lambda outputs, state: {"outputs": outputs, "more": outputs + 1},
    "nested": lambda outputs, state: {"outputs": outputs, "state": state},
    "deep": lambda outputs, state: {"a": [outputs, (outputs * 2, {"b": outputs + 1})], "c": Pair(state.c, state.h)},
}


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def case_of(form: str) -> tuple[rg.Program, Any]:
    x = rg.placeholder("x", (None, None, WIDTH))
    return rg.compile(STRUCTURES[form](*rg.dynamic_rnn(rg.LSTMCell(UNITS), x))), x


net = cache(case_of)
"""Program that tests share, and whose parameters none of them changes."""


def hot_stream(batch: int = 1) -> tuple[rg.Program, Any]:
    """Return a program and a stream at its initial state, whose steps are direct."""
    program, _ = net("bare")
    stream = program.inference.stream(batch)
    heated(lambda: stream.step(x=data(batch, WIDTH)))
    stream.reset()
    return program, stream


@pytest.mark.parametrize("batch", [1, 2, 3, 17])
def test_steps_give_the_bits_of_the_sequence(batch: int) -> None:
    program, stream = hot_stream(batch)
    x = data(batch, 25, WIDTH, seed=1)
    expected = program.inference(x=x)
    with direct_only():
        actual = [stream.step(x=np.ascontiguousarray(x[:, t])) for t in range(25)]
    assert_array_equal(np.stack(actual, 1), expected)
    stream.reset()
    out = np.empty((batch, UNITS), np.float32)
    for t in range(25):  # views are read in place, and results are written to ``out``
        with direct_only():
            assert stream.step({"x": x[:, t]}, out=out) is out
        assert_array_equal(out, expected[:, t])


@pytest.mark.parametrize("steps", [2, 7, 100])
def test_chunks_and_steps_take_turns(steps: int) -> None:
    program, stream = hot_stream(2)
    x = data(2, 2 * steps + 1, WIDTH, seed=2)
    heated(lambda: stream.process(x=x[:, :steps]))
    stream.reset()
    expected = program.inference(x=x)
    with direct_only():
        parts = [
            stream.process(x=x[:, :steps]),
            stream.step(x=x[:, steps])[:, None],
            stream.process(x=x[:, steps + 1 :]),
        ]
    assert_array_equal(np.concatenate(parts, 1), expected)


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (3, 7), (63, 2), (2, 1000), (25, 300)])
def test_inference_gives_the_same_results_as_in_python(batch: int, steps: int) -> None:
    """Direct calls have the bits of Python's, with small arrays, which are copied, and large ones, used in place."""
    program, x = net("bare")
    feeds = [data(batch, steps, WIDTH, seed=seed) for seed in range(3)]
    expected = [program.inference(x=feed) for feed in feeds]
    heated(lambda: program.inference(x=feeds[0]))
    out, inputs = np.empty_like(expected[0]), (feeds[0],)
    is_large = out.nbytes > 16 << 10
    for feed, wanted in zip(feeds, expected, strict=True):
        with direct_only():
            actual = program.inference(x=feed)
        assert_array_equal(actual, wanted)
        assert actual.flags.owndata
        assert actual.flags.c_contiguous
        assert actual.dtype is wanted.dtype
        assert_array_equal(program.inference({x: feed}), wanted)
        assert_array_equal(program.inference({"x": feed}), wanted)
        if not is_large:
            with direct_only():
                assert program.inference(x=feed, out=out) is out
        assert_array_equal(program.inference(x=feed, out=out), wanted)
    assert inputs[0] is feeds[0]


@pytest.mark.parametrize("form", STRUCTURES)
def test_results_have_the_structure_that_was_compiled(form: str) -> None:
    program, _ = net(form)
    stream = program.inference.stream(2)
    fed, step = data(2, 5, WIDTH), data(2, WIDTH)
    for call, feed in ((program.inference, fed), (stream.step, step)):
        first = call(x=feed)
        heated(lambda call=call, feed=feed: call(x=feed))
        stream.reset()
        with direct_only():
            actual = call(x=feed)
        _same_nest(actual, first)
        if form not in ("bare", "deep"):  # ``out`` must not be a list
            out = call(x=feed)
            stream.reset()
            with direct_only():
                written = call(x=feed, out=out)
            assert written is not out
            assert type(written) is type(first)
            assert all(one is other for one, other in zip(flatten(written), flatten(out), strict=True))
            _same_nest(written, first)


def _same_nest(actual: Any, expected: Any) -> None:
    assert type(actual) is type(expected)
    if isinstance(expected, Mapping):
        assert [*actual] == [*expected]
        actual, expected = [*actual.values()], [*expected.values()]
    if not isinstance(expected, tuple | list):
        assert_array_equal(actual, expected)
        return
    for one, other in zip(actual, expected, strict=True):
        _same_nest(one, other)


class Sub(np.ndarray):
    """User-defined subclass of arrays."""


UNUSUAL: dict[str, Callable[[np.ndarray], Any]] = {
    "float64": lambda x: x.astype(np.float64),
    "a list": lambda x: x.tolist(),
    "big-endian": lambda x: x.astype(">f4"),
    "a subclass": lambda x: x.view(Sub),
    "read-only": lambda x: _frozen(x.copy()),
    "Fortran's order": lambda x: np.asfortranarray(x),
    "backwards": lambda x: x[..., ::-1].copy()[..., ::-1],
    "each other element": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "unaligned": lambda x: np.frombuffer(b"-" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape),
}


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("what", UNUSUAL)
def test_feeds_of_any_kind_give_the_same_results(what: str) -> None:
    program, stream = hot_stream(3)
    x = data(3, WIDTH, seed=4)
    expected = stream.step(x=x)
    for _ in range(3):
        stream.reset()
        assert_array_equal(stream.step(x=UNUSUAL[what](x)), expected)
    fed = data(3, 5, WIDTH, seed=5)
    wanted = program.inference(x=fed)
    heated(lambda: program.inference(x=fed))
    assert_array_equal(program.inference(x=UNUSUAL[what](fed)), wanted)


Wrong = Callable[[Any], Any]
WRONG: dict[str, Wrong] = {
    "shape": lambda call: call(x=data(2, 2, WIDTH + 1)),
    "axes": lambda call: call(x=data(WIDTH)),
    "dtype": lambda call: call(x=np.zeros((2, WIDTH), "U3")),
    "nothing": lambda call: call(),
    "None": lambda call: call(x=None),
    "name": lambda call: call(y=data(2, WIDTH)),
    "twice": lambda call: call({"x": data(2, WIDTH)}, x=data(2, WIDTH)),
    "a list": lambda call: call([1]),
    "two mappings": lambda call: call({}, {}),
    "one too many": lambda call: call(x=data(2, WIDTH), z=1),
    "a key": lambda call: call({3: data(2, WIDTH)}),
    "a key without a hash": lambda call: call({"x": data(2, WIDTH)} | {(1,): 2}),
    "out of another shape": lambda call: call(x=data(2, WIDTH), out=np.zeros((1, 1), np.float32)),
    "out of another dtype": lambda call: call(x=data(2, WIDTH), out=np.zeros((2, UNITS))),
    "out that is read-only": lambda call: call(x=data(2, WIDTH), out=_frozen(np.zeros((2, UNITS), np.float32))),
    "out that is no array": lambda call: call(x=data(2, WIDTH), out=3),
}


@pytest.mark.parametrize("what", WRONG)
def test_errors_are_those_of_python(what: str) -> None:
    """Messages agree word for word, and the states do not change."""
    program, stream = hot_stream(2)
    cold = program.inference.stream(2)
    messages = []
    for item in (cold, stream):
        with pytest.raises(rg.RnnGraphError) as error:
            WRONG[what](item.step)
        messages.append((type(error.value), str(error.value)))
    assert messages[0] == messages[1]
    assert_array_equal(stream.step(x=data(2, WIDTH)), cold.step(x=data(2, WIDTH)))


def test_arrays_for_results_that_overlap_are_refused() -> None:
    program, _ = net("named")
    x, whole = data(2, 5, WIDTH), np.zeros((3, 5, UNITS), np.float32)
    out = {"outputs": whole[:2], "more": whole[1:]}
    with pytest.raises(rg.ArgumentError) as cold:
        program.inference(x=x, out=out)
    heated(lambda: program.inference(x=x))
    for arrays in (out, {"outputs": whole[:2], "more": whole[:2]}):
        with pytest.raises(rg.ArgumentError, match="share memory"):
            program.inference(x=x, out=arrays)
    with pytest.raises(rg.ArgumentError) as hot:
        program.inference(x=x, out=out)
    assert str(hot.value).partition(":")[2] == str(cold.value).partition(":")[2] or "share memory" in str(hot.value)
    separate = np.zeros((4, 5, UNITS), np.float32)
    with direct_only():
        program.inference(x=x, out={"outputs": separate[:2], "more": separate[2:]})
    assert_array_equal(separate[2:], separate[:2] + 1)


def test_an_array_may_be_fed_and_written_to() -> None:
    x = rg.placeholder("x", (None, None, 5))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(5), x)[0])
    fed = data(2, 9, 5)
    expected = program.inference(x=fed)
    heated(lambda: program.inference(x=fed))
    with direct_only():
        program.inference(x=fed, out=fed)
    assert_array_equal(fed, expected)


def test_new_parameters_threads_and_states_count_at_once() -> None:
    program, _ = case_of("bare")
    stream, fresh = program.inference.stream(2), program.inference.stream(2)
    heated(lambda: stream.step(x=data(2, WIDTH)))
    stream.reset()
    x, fed = data(2, WIDTH, seed=7), data(2, 4, WIDTH)
    heated(lambda: program.inference(x=fed))
    other, _ = case_of("bare")
    for seed in range(3):
        program.initialize(seed)
        other.parameters.load(dict(program.parameters))
        assert_array_equal(program.inference(x=fed), other.inference(x=fed))
        assert_array_equal(stream.step(x=x), fresh.step(x=x))
    heated(lambda: stream.step(x=x))
    with direct_only():
        stream.step(x=x)
    state = stream.state
    first = stream.step(x=x)
    stream.state = state
    assert_array_equal(stream.step(x=x), first)
    program.threads = 2
    stream.state = state
    assert_array_equal(stream.step(x=x), first)
    program.threads = 1


def test_rows_and_constant_feeds() -> None:
    x, knob = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("knob", ())
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), x * knob)[0])
    stream, cold = program.inference.stream(2), program.inference.stream(2)
    step = data(2, WIDTH)
    stream.step(x=step, knob=0.5)
    heated(lambda: stream.step(x=step))
    stream.reset()
    for knob_value in (0.5, 2.0, np.float32(0.25), np.array(3.0, np.float32), 1, 1e300, float("nan")):
        with np.errstate(all="ignore"):
            one, other = (item.step(x=step, knob=knob_value) for item in (stream, cold))
        assert_array_equal(one, other)
    with direct_only():
        stream.step(x=step, knob=0.125)
        stream.step(x=step)
    stream.reset(), cold.reset()
    cold.step(x=step, knob=0.125, rows=[1])
    stream.step(x=step, rows=[1])
    assert_array_equal(stream.step(x=step), cold.step(x=step))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers_must_be_in_their_range(dtype: str) -> None:
    ids = rg.placeholder("ids", (None, None), dtype=dtype)
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.embedding(ids, 11, 4))[0])
    right = np.array([[0, 10, 5]], dtype)
    expected = program.inference(ids=right)
    heated(lambda: program.inference(ids=right))
    with direct_only():
        assert_array_equal(program.inference(ids=right), expected)
    for wrong in (-1, 11, np.iinfo(dtype).min, np.iinfo(dtype).max):
        fed = np.array([[0, wrong, 5]], dtype)
        with pytest.raises(rg.ShapeError, match=f"feed ids holds {wrong}; .*must be in 0..10"):
            program.inference(ids=fed)
    many = np.tile(right, (1, 2000))  # large enough to be read in place
    heated(lambda: program.inference(ids=many))
    many[0, 5999] = 11
    with pytest.raises(rg.ShapeError, match="holds 11"):
        program.inference(ids=many)


TRAINED = {
    "training": lambda program, **options: program.training(**options),
    "gradients": lambda program, **options: program.training.gradients(**options),
    "gradients by x": lambda program, **options: program.training.gradients(wrt=["x"], **options),
    "gradients of outputs": lambda program, **options: program.training.gradients(
        output_gradients={"outputs": np.ones((2, 5, UNITS), np.float32)}, **options
    ),
}


@pytest.mark.parametrize(
    "what", ["training", *(pytest.param(what, marks=pytest.mark.exhaustive) for what in [*TRAINED][1:])]
)
def test_training_is_direct_and_draws_the_same_seeds(what: str) -> None:
    """Training calls are direct with dropout, a validated keep probability, and the program's or the caller's seeds."""

    def trained() -> rg.Program:
        x, keep = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("keep", ())
        outputs, state = rg.dynamic_rnn(rg.DropoutWrapper(rg.LSTMCell(UNITS), output_keep_prob=keep), x)
        return rg.compile({"outputs": outputs, "state": state}, rg.reduce_sum(outputs * outputs), seed=5)

    program, other, call = trained(), trained(), TRAINED[what]
    fed = {"x": data(2, 5, WIDTH), "keep": 0.5}
    heated(lambda: call(program, **fed))
    for _ in range(TIMES):
        other.parts.seeds.draw()
    expected = [call(other, **fed), call(other, **fed, seed=7), call(other, **fed)]
    with direct_only():
        actual = [call(program, **fed), call(program, **fed, seed=7), call(program, **fed)]
    assert repr(map_leaves(type, actual)) == repr(map_leaves(type, expected))
    for one, one_expected in zip(flatten(actual), flatten(expected), strict=True):
        assert_array_equal(one, one_expected)
    program.parameters["rnn/lstm_cell/bias"] = other.parameters["rnn/lstm_cell/bias"] = data(4 * UNITS)
    for number in range(4):
        for one, one_expected in zip(*map(flatten, (call(program, **fed), call(other, **fed))), strict=True):
            assert_array_equal(one, one_expected, str(number))
    for wrong in (0.0, 1.5, np.nan):
        with pytest.raises(rg.ArgumentError, match=r"keep is .*outside \(0, 1\]"):
            call(program, x=fed["x"], keep=wrong)
        with pytest.raises(rg.ArgumentError):
            call(other, x=fed["x"], keep=wrong)
    for one, one_expected in zip(*map(flatten, (call(program, **fed), call(other, **fed))), strict=True):
        assert_array_equal(one, one_expected)
    with pytest.raises(rg.NameLookupError, match="seed"):
        program.training({**fed, "seed": np.array(3)})


def test_hot_calls_take_few_steps_in_python() -> None:
    """A repeated call enters few Python functions, each of which takes 50 ns or more. Train steps run in Python."""
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(UNITS), x)
    program = rg.compile({"outputs": outputs}, rg.reduce_sum(outputs * outputs))
    trainer, fed, fetch = rg.Trainer(program), data(1, 2, WIDTH), {"outputs": outputs}
    for limit, call in (
        (0, lambda: program.inference(x=fed)),
        (4, lambda: program.training(x=fed)),
        (6, lambda: program.training.gradients(x=fed)),
        (65, lambda: trainer.step(x=fed)),
        (66, lambda: trainer.step(x=fed, seed=3, fetch=fetch)),
        (66, lambda: trainer.step(x=fed, carry=True)),
    ):
        heated(call)
        assert frames(call) <= limit


def test_reference_counts_stay_equal() -> None:
    """Reference counts do not change, whether calls succeed or are left to Python."""
    program, _ = net("nested")
    stream = program.inference.stream(1)
    step, fed, wrong = data(1, WIDTH), data(1, 2, WIDTH), data(2, WIDTH)
    heated(lambda: stream.step(x=step))
    heated(lambda: program.inference(x=fed))
    out = program.inference(x=fed)

    def round_of_calls() -> None:
        stream.step(x=step)
        stream.step({"x": step})
        program.inference(x=fed)
        program.inference(x=fed, out=out)
        for call in (stream.step, program.inference):
            with pytest.raises(rg.RnnGraphError):
                call(x=wrong[:, :1])

    plan = program.inference._direct
    watched = [
        step,
        fed,
        step.dtype,
        None,
        True,
        out,
        *flatten(out),
        stream,
        program.inference,
        plan,
        type(out),
        float,
        type(out["state"]),
        np.ndarray,
        "x",
        "out",
        stream._direct_step,
        program.inference.compiled,
    ]
    round_of_calls()
    gc.collect()
    before = [sys.getrefcount(item) for item in watched]
    for _ in range(300):
        round_of_calls()
    gc.collect()
    after = [sys.getrefcount(item) for item in watched]
    changed = {
        type(item).__name__: (b, a) for item, b, a in zip(watched, before, after, strict=True) if abs(a - b) > 20
    }
    assert changed == {}


@pytest.mark.exhaustive
def test_a_million_calls_take_no_memory() -> None:
    program, _ = net("nested")
    stream = program.inference.stream(1)
    step, fed = data(1, WIDTH), data(1, 2, WIDTH)
    heated(lambda: stream.step(x=step))
    heated(lambda: program.inference(x=fed))
    counts = sys.getrefcount(step), sys.getrefcount(step.dtype), sys.getrefcount(type(stream.step(x=step)["state"]))
    tracemalloc.start()
    begin = tracemalloc.get_traced_memory()[0]
    for _ in range(500_000):
        stream.step(x=step)
        program.inference(x=fed)
    gc.collect()
    assert tracemalloc.get_traced_memory()[0] - begin < 10_000
    tracemalloc.stop()
    later = sys.getrefcount(step), sys.getrefcount(step.dtype), sys.getrefcount(type(stream.step(x=step)["state"]))
    assert max(abs(one - other) for one, other in zip(counts, later, strict=True)) < 10


@pytest.mark.parametrize("count", [30, 31, 32, 33, 70])
def test_a_stream_may_hold_any_number_of_feeds(count: int) -> None:
    """Machine code supports a limited number; calls with more run in Python."""
    x, knobs = rg.placeholder("x", (None, None, WIDTH)), [rg.placeholder(f"knob_{n}", ()) for n in range(count)]
    scaled = x
    for knob in knobs:
        scaled = scaled * knob
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), scaled)[0])
    stream, fed = program.inference.stream(1), data(1, WIDTH)
    stream.step({"x": fed} | dict.fromkeys((knob.name for knob in knobs), 0.5))
    stream.step({"x": fed} | dict.fromkeys((knob.name for knob in knobs), 1.0))
    heated(lambda: stream.step(x=fed))
    stream.reset()
    expected = program.inference({"x": fed[:, None]} | dict.fromkeys((knob.name for knob in knobs), 1.0))
    assert_array_equal(stream.step(x=fed), expected[:, 0])


def test_any_number_of_keywords_is_refused_as_one_is() -> None:
    """A call with 30,000 unknown keywords is refused, even in a thread whose stack is too small for them."""
    program, stream = hot_stream()
    said: list[str] = []

    def call() -> None:
        for method in (stream.step, program.inference):
            for count in (60, 70, 30_000):
                with pytest.raises(rg.NameLookupError) as error:
                    method(**dict.fromkeys((f"k{n}" for n in range(count)), 0))
                said.append(str(error.value))

    before = threading.stack_size(1 << 17)
    try:
        thread = threading.Thread(target=call)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert len(said) == 6
    assert all("has no input 'k0'" in text for text in said)


class Like:
    """Key that equals certain names, and runs a function when it is compared."""

    def __init__(self, name: str, act: Callable[[], object]) -> None:
        self.name, self.act = name, act

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        self.act()
        return other == self.name


def test_feeds_live_as_long_as_the_call() -> None:
    """A feed survives removal from its mapping during the call, which a key's comparison method may do."""
    x, knob = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("knob", ())
    program = rg.compile({"y": {"z": rg.dynamic_rnn(rg.GRUCell(UNITS), x * knob)[0]}})
    fed, one = data(1, 2, WIDTH), np.ones((), np.float32)
    expected = program.inference(x=fed, knob=one)["y"]["z"]
    heated(lambda: program.inference(x=fed, knob=one))
    others: list[np.ndarray] = []
    feeds: dict[Any, Any] = {}

    def take() -> None:
        feeds.pop("x", None)
        others.extend(np.zeros((1, 2, WIDTH, 1), np.float32) for _ in range(20))

    for _ in range(20):
        others.clear()
        feeds.clear()
        feeds.update({"x": fed.copy(), Like("knob", take): one})
        with direct_only():
            assert_array_equal(program.inference(feeds)["y"]["z"], expected)
    out: dict[Any, Any] = {}
    for _ in range(3):
        others.clear()
        result = np.zeros_like(expected)
        out["y"] = {Like("z", lambda: (out.clear(), gc.collect())): result}
        with direct_only():
            program.inference(x=fed, knob=one, out=out)
        assert_array_equal(result, expected)


def test_a_stream_is_freed_when_nothing_refers_to_it() -> None:
    """A stream without references is freed without the garbage collector, because it has no reference cycle."""
    _, stream = hot_stream()
    reference = weakref.ref(stream)
    bound = stream.step
    del stream
    assert reference() is not None
    bound(x=data(1, WIDTH))
    gc.disable()
    try:
        del bound
        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("steps", [3, 1500])
def test_threads_share_a_graph(steps: int) -> None:
    """Long calls release the GIL, and concurrent calls have separate memory."""
    program, _ = net("bare")
    feeds = [data(1, steps, WIDTH, seed=seed) for seed in range(6)]
    expected = [program.inference(x=feed) for feed in feeds]
    heated(lambda: program.inference(x=feeds[0]))

    def check(number: int) -> None:
        for _ in range(30):
            assert_array_equal(program.inference(x=feeds[number]), expected[number])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(check, range(6)))


def test_a_long_call_lets_other_threads_run() -> None:
    program, _ = net("bare")
    long = data(8, 8000, WIDTH)
    heated(lambda: program.inference(x=long))
    ended, times = threading.Event(), []

    def count() -> None:
        while not ended.is_set():
            times.append(time.perf_counter())
            time.sleep(1e-4)

    other = threading.Thread(target=count)
    other.start()
    maximum = 0
    with direct_only():
        for _ in range(300):  # on a busy machine the other thread may not be scheduled
            begin = time.perf_counter()
            program.inference(x=long)
            end = time.perf_counter()
            maximum = max(maximum, sum(begin < moment < end for moment in times[-1000:]))
            if maximum > 3:
                break
    ended.set()
    other.join()
    assert maximum > 3


def test_methods_have_signatures() -> None:
    hot_stream()
    methods = [*zip(DIRECT._trampolines, DIRECT._functions, strict=True)]
    functions = {name: function for (_, name, *_), function in methods}
    assert functions.keys() == {"step", "process", "__call__"}
    for (owner, name, *_), function in methods:
        method = getattr(owner, name)
        parameters, names = inspect.signature(method).parameters, inspect.signature(function).parameters
        assert [*parameters] == [*names]
        assert [item.kind for item in parameters.values()] == [item.kind for item in names.values()]
        assert [item.default for item in parameters.values()] == [item.default for item in names.values()]
        assert method.__doc__ == function.__doc__
        assert method.__name__ == name


def test_a_method_from_before_is_direct_too() -> None:
    _, stream = hot_stream()
    (step,) = (item for item in DIRECT._functions if item.__qualname__ == "Stream.step")
    with direct_only():
        actual = step(stream, x=data(1, WIDTH))
        step(stream, {"x": data(1, WIDTH)})
    stream.reset()
    assert_array_equal(stream.step(x=data(1, WIDTH)), actual)
    with pytest.raises(rg.ShapeError):
        step(stream, x=data(1, 1))


UNKNOWN: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "Py_GIL_DISABLED": lambda patch: patch.setattr("sysconfig.get_config_var", lambda name: 1),
    "an implementation": lambda patch: patch.setattr(python_api.sys, "implementation", SimpleNamespace(name="pypy")),
    "a longer head": lambda patch: patch.setattr(python_api, "_head", lambda: object.__basicsize__ + 8),
    "a shorter head": lambda patch: patch.setattr(python_api, "_head", lambda: object.__basicsize__ - 8),
    **{
        f"{name} elsewhere": lambda patch, name=name: patch.setattr(python_api, name, getattr(python_api, name) + 8)
        for name in ("DATA", "AXES", "DESCR", "FLAGS")
    },
    "DESCR before": lambda patch: patch.setattr(python_api, "DESCR", python_api.STRIDES),
}
"""Changes that simulate other versions of Python or NumPy, with other memory layouts."""


@pytest.mark.parametrize("reason", UNKNOWN)
def test_a_python_with_other_object_layouts_uses_no_direct_calls(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Own:
        def method(self) -> int:
            return 3

    code = DirectCode()
    code.install_fastcall(Own, "method", "plan", "method($self)")
    UNKNOWN[reason](monkeypatch)
    assert not code.ready(None, dict)
    assert inspect.isfunction(Own.method)
    assert code.attempt(None, None, None) is None
    monkeypatch.setattr(direct_call, "DIRECT", code)
    program, _ = case_of("named")
    fed, expected = data(2, 5, WIDTH), net("named")[0].inference(x=data(2, 5, WIDTH))
    heated(lambda: program.inference(x=fed))
    assert program.inference._direct is None
    for name, array in program.inference(x=fed).items():
        assert_array_equal(array, expected[name])


class Stops(bdb.Bdb):
    """Debugger that counts its stops at a breakpoint at the first line of a function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        code = inspect.unwrap(function).__code__
        first = min(line for *_, line in code.co_lines() if line is not None and line > code.co_firstlineno)
        self.count = 0
        assert self.set_break(code.co_filename, first) is None

    def user_line(self, frame: Any) -> None:
        self.count += bool(self.break_here(frame))
        self.set_continue()


FUNCTIONS: dict[str, Callable[[rg.Program], Callable[[], object]]] = {
    "InferenceGraph.__call__": lambda program: lambda: program.inference(x=data(2, 1, WIDTH)),
    "Stream.step": lambda program: partial(program.inference.stream(2).step, x=data(2, WIDTH)),
    "Stream.process": lambda program: partial(program.inference.stream(2).process, x=data(2, 1, WIDTH)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_breakpoints_are_reached_in_programs_without_direct_calls(name: str) -> None:
    (function,) = (item for item in DIRECT._functions if item.__qualname__ == name)
    hot_stream()  # another program in the process has direct calls
    counts = []
    for is_direct in (False, True):
        x = rg.placeholder("x", (None, None, WIDTH))
        program = rg.compile(rg.dynamic_rnn(rg.LSTMCell(UNITS), x)[0], direct_calls=is_direct)
        call = FUNCTIONS[name](program)
        heated(call)
        stops = Stops(function)
        for _ in range(3):
            stops.runcall(call)
        counts.append(stops.count)
    assert counts == [3, 0]


def test_a_program_without_direct_calls_gives_the_same_results(tmp_path: Path) -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(UNITS), x)
    program = rg.compile({"outputs": outputs}, rg.reduce_sum(outputs * outputs), direct_calls=False)
    program.save(tmp_path / "net")
    fed, stream = data(2, 5, WIDTH), program.inference.stream(2)
    expected = rg.load(tmp_path / "net").inference(x=fed)["outputs"]
    for one in (program, rg.load(tmp_path / "net", direct_calls=False), pickle.loads(pickle.dumps(program))):
        assert not one.options.direct_calls
        for call in (lambda one=one: one.inference(x=fed), lambda one=one: one.training(x=fed)):
            heated(call)
            with pytest.raises(AssertionError), direct_only():
                call()
        assert_array_equal(one.inference(x=fed)["outputs"], expected)
        assert one.inference._direct is None
    assert program.with_outputs(outputs).options.direct_calls is False
    heated(lambda: stream.step(x=fed[:, 0]))
    assert stream._direct_step is None
    with pytest.raises(rg.DtypeError, match="direct_calls must be True or False"):
        rg.compile(outputs, direct_calls="no")


def test_signature_strings_are_of_methods_that_are_there() -> None:
    assert {owner for owner, *_ in DIRECT._trampolines} >= {Stream}
    assert direct_code.OUT == "out"
