"""Calls and steps after the first of their kind are prepared, and equal the first."""

from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from alive import all_gone
from bound_listener import LONG, UNITS, WIDTH, data, fed, general, listener, same, unaligned
from numpy.testing import assert_array_equal
from training import compiled_once

import rnngraph as rg
from rnngraph.declare.nest import flatten
from rnngraph.runtime.calls import entry_blocks
from rnngraph.runtime.calls.call_cache import MAX_SIGNATURES


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


def calls_of(program: rg.Program) -> dict[str, tuple[Any, tuple[str, ...], dict[str, Any]]]:
    training = program.training
    return {
        "inference": (program.inference, ("x", "who"), {}),
        "evaluate": (program.evaluate, ("x", "who", "y"), {}),
        "training": (training, ("x", "who", "y", "keep"), {"seed": 5}),
        "without the loss": (training, ("x", "who", "keep"), {"seed": 2**63 - 1}),
        "gradients": (training.gradients, ("x", "who", "y", "keep"), {"seed": 5}),
        "wrt": (training.gradients, ("x", "who", "y", "keep"), {"seed": 5, "wrt": ["keep", "x"]}),
    }


CALLS = ("inference", "evaluate", "training", "without the loss", "gradients", "wrt")


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("steps", [1, 5, LONG])
def test_later_calls_give_the_results_of_the_first(name: str, steps: int, general_calls: list[int]) -> None:
    call, names, options = calls_of(listener())[name]
    first = {key: fed(steps=steps)[key] for key in names}
    other = {key: fed(steps=steps, seed=1)[key] for key in names}
    expected, others = general(call, first, **options), general(call, other, **options)
    call(**first, **options)
    general_calls.clear()
    for _ in range(3):
        same(call(**first, **options), expected)
        same(call(**other, **options), others)
    assert not general_calls
    call(dict(first), **options)
    general_calls.clear()
    same(call(dict(other), **options), others)  # feeds in one mapping, whose keys may be placeholders
    assert not general_calls


def test_placeholders_are_keys_as_names_are() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), x)[0])
    ones, twos = data(2, 5, WIDTH), data(2, 5, WIDTH, seed=1)
    expected = program.inference(x=twos)
    program.inference({x: ones})
    assert_array_equal(program.inference({x: twos}), expected)
    with pytest.raises(rg.ArgumentError, match="x is fed twice"):
        program.inference({x: ones}, x=ones)


@pytest.mark.parametrize("name", CALLS)
def test_results_are_the_callers_own(name: str) -> None:
    for steps in (5, LONG):
        feeds = fed(steps=steps)
        call, names, options = calls_of(listener())[name]
        inputs = {key: feeds[key] for key in names}
        results = [flatten(call(**inputs, **options)) for _ in range(3)]
        before = {key: np.array(value) for key, value in inputs.items()}
        kept = [[array.copy() for array in one] for one in results]
        for array in results[1]:
            assert array.flags.owndata
            assert array.flags.c_contiguous
            assert array.flags.writeable
            array[...] = 77
        second = flatten(call(**inputs, **options))
        for number, array in enumerate(second):
            assert_array_equal(array, kept[0][number])
            assert_array_equal(results[2][number], kept[2][number])
            assert not any(np.shares_memory(array, value) for value in inputs.values() if not isinstance(value, float))
        for key, value in inputs.items():
            assert_array_equal(value, before[key])


class Marked(np.ndarray):
    """User-defined subclass of arrays."""


FORMS: dict[str, Any] = {
    "float64": lambda array: array.astype(np.float64),
    "other byte order": lambda array: array.astype(">f4"),
    "a list": lambda array: array.tolist(),
    "a subclass": lambda array: array.view(Marked),
    "read-only": lambda array: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    "not aligned": unaligned,
    "Fortran's order": np.asfortranarray,
    "every other step": lambda array: np.repeat(array, 2, axis=1)[:, ::2],
    "reversed": lambda array: array[:, ::-1].copy()[:, ::-1],
    "every row the same memory": lambda array: np.broadcast_to(array[:1], array.shape),
}


@pytest.mark.parametrize("steps", [5, LONG])
@pytest.mark.parametrize("form", FORMS)
def test_feeds_of_every_form(form: str, steps: int) -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(UNITS), x)
    program = rg.compile({"outputs": outputs})
    plain = data(2, steps, WIDTH)
    program.inference(x=plain)
    program.inference(x=plain)  # the call is prepared
    form_of_feed = FORMS[form](plain)
    expected = general(program.inference, {"x": np.array(form_of_feed, np.float32)})
    for _ in range(3):
        same(program.inference(x=form_of_feed), expected)
    same(program.inference(x=plain), general(program.inference, {"x": plain}))


@pytest.mark.parametrize("form", FORMS)
def test_steps_and_chunks_of_every_form(form: str) -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    program = rg.compile({"outputs": rg.dynamic_rnn(rg.GRUCell(UNITS), x)[0]})
    whole = np.array(FORMS[form](data(2, 8, WIDTH)), np.float32)
    expected = program.inference(x=whole)["outputs"]
    stream = program.inference.stream(2)
    actual = [stream.step(x=whole[:, 0])["outputs"], stream.step(x=whole[:, 1])["outputs"]]
    actual.append(
        stream.step(x=FORMS[form](whole[:, 2:3])[:, 0] if form != "a list" else whole[:, 2].tolist())["outputs"]
    )
    actual.append(stream.step(x=whole[:, 3])["outputs"])
    assert_array_equal(np.stack(actual, 1), expected[:, :4])
    for start in (4, 6):
        assert_array_equal(stream.process(x=whole[:, start : start + 2])["outputs"], expected[:, start : start + 2])
    state = stream.state
    first = stream.process(x=FORMS[form](whole[:, :2]))["outputs"]
    stream.state = state
    assert_array_equal(stream.process(x=whole[:, :2])["outputs"], first)


@pytest.mark.parametrize("variant", ["every other step", "other rows"])
def test_large_feeds_in_strides_are_not_copied(variant: str) -> None:
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0][:, -1])
    whole = data(4, 60_000, WIDTH)
    inputs = whole[:, ::2] if variant == "every other step" else whole[::2]
    expected = program.inference(x=inputs.copy())
    for form in (lambda: {"x": inputs}, lambda: MappingProxyType({"x": inputs})):
        for _ in range(2):
            tracemalloc.start()
            actual = program.inference(form())
            _, maximum = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert_array_equal(actual, expected)
            assert maximum < inputs.nbytes / 2


def test_feeds_in_strides_take_the_prepared_way(general_calls: list[int]) -> None:
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0])
    whole = data(4, 3 * LONG, WIDTH)
    windows = [whole[:, :LONG], whole[:, LONG : 2 * LONG], whole[:, ::3], whole[::-1, :LONG], whole[:, :LONG].copy()]
    expected = [program.inference(x=window.copy()) for window in windows]
    for window in windows:
        program.inference(x=window)
    general_calls.clear()
    for number in (0, 1, 0, 4, 2, 4, 0, 3, 1, 4):
        assert_array_equal(program.inference(x=windows[number]), expected[number])
    assert not general_calls


@pytest.mark.parametrize("form", ["float64", "a list", "every other step"])
def test_calls_with_converted_feeds_are_prepared_too(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, whole, prepared = listener(), data(2, LONG, WIDTH), []
    original = entry_blocks.PreparedCall

    def counted(spec: Any) -> Any:
        prepared.append(spec)
        return original(spec)

    monkeypatch.setattr(entry_blocks, "PreparedCall", counted)
    for _ in range(3):
        program.inference(x=FORMS[form](whole), who=[1, 2])
        program.training(x=FORMS[form](whole), who=[1, 2], keep=1, first_row=3)
    assert len(prepared) == 2


@pytest.mark.parametrize("steps", [5, LONG])
def test_feeds_that_no_output_needs(steps: int, general_calls: list[int]) -> None:
    """Feeds that only the loss reads are accepted, even if the loss is not computed for lack of another feed."""
    x, y, z = (rg.placeholder(name, (None, None, WIDTH)) for name in "xyz")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(UNITS), x)
    program = rg.compile({"outputs": outputs}, loss=rg.reduce_mean(rg.square(x - y) * z))
    read_array, unread = data(2, steps, WIDTH), data(2, steps, 2 * WIDTH, seed=1)
    expected = program.training(x=read_array)
    for other in (unread[..., :WIDTH].copy(), unread[..., ::2], unread[..., :WIDTH].tolist()):
        program.training(x=read_array, y=other)
        general_calls.clear()
        same(program.training(x=read_array, y=other), expected)
        assert bool(general_calls) == (type(other) is list or (steps == LONG and not other.flags.c_contiguous))
        with pytest.raises(rg.ShapeError, match="feed y"):
            program.training(x=read_array, y=np.zeros((2, steps + 1, WIDTH), np.float32))


def test_calls_whose_shapes_change_are_prepared(general_calls: list[int]) -> None:
    """Calls whose shapes repeat, alternate or change at random are prepared after the first of each shape."""
    program, generator = listener(), np.random.default_rng(0)
    calls = [{key: fed(2, steps)[key] for key in ("x", "who")} for steps in (1, 5, LONG)]
    expected = [program.inference(**feeds) for feeds in calls]
    general_calls.clear()
    for number in [0, 0, 1, 0, 1, 0, 0, 2, 2, 1, 1, *generator.integers(0, 3, 40)]:
        same(program.inference(**calls[number]), expected[number])
    assert not general_calls


def test_other_shapes_take_their_own_way() -> None:
    program = listener()
    for rows, steps in [(2, 5), (3, 5), (2, 1), (1, LONG), (2, 5), (2, 0), (2, 5)]:
        feeds = {key: fed(rows, steps)[key] for key in ("x", "who")}
        for _ in range(2):
            same(program.inference(**feeds), general(program.inference, feeds))


def test_only_so_many_kinds_are_kept() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), x)[0][:, -1])
    whole = data(1, MAX_SIGNATURES + 9, WIDTH)
    for _ in range(2):
        for steps in range(1, MAX_SIGNATURES + 9):
            inputs = whole[:, :steps]
            assert_array_equal(program.inference(x=inputs), general(program.inference, {"x": inputs}))
    assert len(program.inference._calls._calls) <= MAX_SIGNATURES


@pytest.mark.parametrize("name", CALLS)
def test_parameters_change_between_calls(name: str) -> None:
    program = listener()
    call, names, options = calls_of(program)[name]
    feeds = {key: fed()[key] for key in names}
    results = [call(**feeds, **options) for _ in range(3)]
    for seed in (1, 2):
        program.initialize(seed)
        changed = call(**feeds, **options)
        same(changed, general(call, feeds, **options))
        assert not np.array_equal(flatten(changed)[0], flatten(results[0])[0])
    with program.parameters.edit(next(iter(program.parameters))) as array:
        array += 1
    same(call(**feeds, **options), general(call, feeds, **options))


def test_finished_calls_do_not_keep_old_parameters() -> None:
    """At most as many old parameter sets stay in memory as threads called at once."""
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0])
    x = data(1, 2000, WIDTH)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: program.inference(x=x), range(40)))
    names = list(program.parameters)
    old = [weakref.ref(program.parameters[name]) for name in names]
    program.initialize(3)
    program.inference(x=x)
    assert all_gone(old)


def test_feeds_are_not_kept_alive() -> None:
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0])
    for steps in (5, LONG):
        for _ in range(3):
            x = data(1, steps, WIDTH)
            alive, result = weakref.ref(x), weakref.ref(program.inference(x=x))
            del x
            assert all_gone([alive, result])


def test_threads_change_between_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    from teams import share_everything

    share_everything(monkeypatch, 2)
    program = listener()
    feeds = {key: fed(8, 40)[key] for key in ("x", "who")}
    expected = program.inference(**feeds)
    for threads in (1, 2, 1, 2):
        program.threads = threads
        for _ in range(3):
            same(program.inference(**feeds), expected)
    assert {runner._parts for runner in program.inference._calls._calls.values()} == {2}


def test_several_threads_call_at_once() -> None:
    program = listener()
    calls = [{key: fed(2, steps, seed)[key] for key in ("x", "who")} for steps in (5, 300, LONG) for seed in range(3)]
    expected = [general(program.inference, feeds) for feeds in calls]

    def work(thread: int) -> None:
        for turn in range(30):
            number = (thread + turn) % len(calls)
            same(program.inference(**calls[number]), expected[number])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))


def test_seeds_are_drawn_in_one_order() -> None:
    """Seeds are drawn in the same order by every kind of call. Calls without random numbers draw none."""
    feeds = fed()
    ours, theirs = listener(seed=4), listener(seed=4)
    for turn in range(6):
        same(ours.training(**feeds), general(theirs.training, feeds))
        same(ours.training.gradients(**feeds), general(theirs.training.gradients, feeds))
        if turn == 3:
            ours.inference(x=feeds["x"], who=feeds["who"])
            for program in (ours, theirs):  # an invalid call draws no seed
                with pytest.raises(rg.ArgumentError):
                    program.training(**{**feeds, "keep": 1.5})
    generator = np.random.Generator(np.random.Philox(key=4))
    assert [listener(seed=4).parts.seeds.draw() for _ in range(2)] == [int(generator.integers(0, 2**63))] * 2
    program = listener(seed=4)
    generator = np.random.Generator(np.random.Philox(key=4))
    assert [program.parts.seeds.draw() for _ in range(50)] == [int(generator.integers(0, 2**63)) for _ in range(50)]


@pytest.mark.parametrize("steps", [5, LONG])
def test_mistakes_are_also_detected_in_bound_calls(steps: int) -> None:
    program, feeds = listener(), fed(steps=steps)
    for _ in range(2):
        program.training(**feeds, seed=1)
    wrong: dict[str, tuple[Any, type[Exception], str]] = {
        "keep": (1.5, rg.ArgumentError, "feed keep is 1.5, outside"),
        "who": (np.array([0, 5]), rg.ShapeError, "feed who holds 5; rows of a table"),
        "y": (np.full_like(feeds["y"], -1), rg.ShapeError, "feed y holds -1"),
        "x": (feeds["x"][:, :, :2], rg.ShapeError, "axis 2 must be 3"),
    }
    for name, (value, kind, words) in wrong.items():
        for form in (lambda feeds: program.training(**feeds, seed=1), lambda feeds: program.training(feeds, seed=1)):
            with pytest.raises(kind, match=words) as raised:
                form({**feeds, name: value})
            assert "test_prepared_call.py" in str(raised.value)
            assert str(raised.value).split(": ", 1)[1] == message(program, {**feeds, name: value})
    for missing in ("x", "who", "keep"):
        with pytest.raises(rg.NameLookupError, match=f"needs {missing}"):
            program.training(**{name: value for name, value in feeds.items() if name != missing}, seed=1)
    with pytest.raises(rg.NameLookupError, match="no input 'z'"):
        program.training(**feeds, z=feeds["x"], seed=1)
    same(program.training(**feeds, seed=1), general(program.training, feeds, seed=1))


def message(program: rg.Program, feeds: dict[str, Any]) -> str:
    with pytest.raises(rg.RnnGraphError) as raised:
        general(program.training, feeds, seed=1)
    return str(raised.value).split(": ", 1)[1]


def test_masks_of_other_rows_and_steps_are_their_own() -> None:
    """Masks depend on first_row, first_step and large seeds, although the feeds then have one signature."""
    program, feeds = listener(), fed()
    begins = [{"first_row": 3}, {"first_row": 5}, {}, {"first_step": 2}, {"seed": 2**63 + 1}, {"seed": 2**63 + 2}]
    for call in (program.training, program.training.gradients):
        for options in (*begins, *begins):
            keywords = {"seed": 7, **options}
            same(call(**feeds, **keywords), general(call, feeds, **keywords))
    masks = [program.training.dropout_masks(feeds, **{"seed": 7, **options}) for options in begins]
    (name,) = masks[0]
    results = [program.training(**feeds, **{"seed": 7, **options})["logits"] for options in begins]
    assert len({mask[name].tobytes() for mask in masks}) == len({array.tobytes() for array in results}) == len(begins)


def test_numbers_for_scalars() -> None:
    program, feeds = listener(), fed()
    expected = {keep: general(program.training, {**feeds, "keep": keep}, seed=3) for keep in (0.3, 0.9)}
    for kind in (float, np.float32, np.float64, np.array, lambda keep: np.array(keep, np.float32)):
        for _ in range(2):
            for keep, result in expected.items():
                same(program.training(**{**feeds, "keep": kind(keep)}, seed=3), result)
    same(program.training(**{**feeds, "keep": 1}, seed=3), general(program.training, {**feeds, "keep": True}, seed=3))


@pytest.mark.parametrize("steps", [5, LONG])
def test_gradients_for_a_loss_that_is_computed_outside(steps: int, general_calls: list[int]) -> None:
    program, feeds = listener(), fed(steps=steps)
    gradients = program.training.gradients
    logits, twice = data(2, steps, 4, seed=2), data(2, steps, UNITS, seed=3)
    forms: list[dict[str, Any]] = [
        {"output_gradients": {"logits": logits}},
        {"output_gradients": {"logits": logits, "inner/twice/0": twice}},
        {"output_gradients": {"logits": logits}, "wrt": ("x",)},
        {"output_gradients": {"logits": logits, "loss": None}, "wrt": ["keep"]},
        {"output_gradients": {"logits": logits.astype(np.float64)}},
        {"output_gradients": {"inner": {"twice": [twice]}}},
    ]
    for number, form in enumerate(forms):
        for without in ((), ("y",)):
            inputs = {name: value for name, value in feeds.items() if name not in without}
            expected = general(gradients, inputs, seed=5, **form)
            for turn in range(3):
                general_calls.clear()
                mapping = (dict(inputs),) if turn == 2 else ()
                actual = gradients(*mapping, **({} if mapping else inputs), seed=5, **form)
                assert type(actual[0]) is type(expected[0])
                same(actual[0], expected[0])
                same(actual[1], expected[1])
                assert number > 2 or turn != 1 or not general_calls
    good = {"logits": logits}
    wrong: list[tuple[Any, type[Exception]]] = [
        ({"logits": logits[:1]}, rg.ShapeError),
        ({"logits": logits[:, :-1]}, rg.ShapeError),
        ({"other": logits}, rg.NameLookupError),
        ({}, rg.StructureError),
        ([logits], rg.StructureError),
        ({1: logits}, rg.NameLookupError),
    ]
    for form, kind in wrong:
        with pytest.raises(kind) as raised:
            gradients(**feeds, seed=5, output_gradients=form)
        assert "test_prepared_call.py" in str(raised.value)
    with pytest.raises(rg.NameLookupError, match="no input"):
        gradients({**feeds, "output_gradient/logits": logits}, seed=5)
    with pytest.raises(rg.NameLookupError, match="no input"):
        gradients({**feeds, "output_gradient/logits": logits}, seed=5, output_gradients=good)
    for wrt in ("x", 3, [3], [[]], {"x"}, ["z"]):
        with pytest.raises(rg.RnnGraphError):
            gradients(**feeds, seed=5, wrt=wrt)


def test_gradients_of_a_bare_output_and_of_a_state() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    state = rg.state_placeholder("state", rg.LSTMCell(UNITS))
    program = rg.compile(rg.dynamic_rnn(rg.LSTMCell(UNITS), x, initial_state=state)[0])
    feeds = {"x": data(2, 5, WIDTH), "state": tuple(data(2, UNITS, seed=seed) for seed in (1, 2))}
    for wrt in ([], ["x"], ["state"], [x, "state"]):
        expected = general(program.training.gradients, feeds, wrt=wrt, output_gradients=data(2, 5, UNITS))
        for _ in range(3):
            actual = program.training.gradients(**feeds, wrt=wrt, output_gradients=data(2, 5, UNITS))
            same(actual[0], expected[0])
            assert actual[1].keys() == expected[1].keys()
            same(actual[1], expected[1])


# Streams -------------------------------------------------------------------------------------------


def test_steps_and_chunks_take_turns_at_one_state() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, state = rg.dynamic_rnn(rg.MultiRNNCell([rg.BasicLSTMCell(UNITS), rg.GRUCell(4)]), x)
    program = rg.compile({"outputs": outputs, "state": state, "twice": outputs * 2}, seed=1)
    whole = data(2, 40, WIDTH)
    expected = program.inference(x=whole)
    stream = program.inference.stream(2)
    at, kept = 0, []
    for turn in range(4):
        for length in (1, 1, 1, 3, 3, 2) if turn < 3 else (1, 3):
            if length == 1:
                kept.append((at, stream.step(x=whole[:, at])))
            else:
                kept.append((slice(at, at + length), stream.process(x=whole[:, at : at + length])))
            at += length
        if turn == 1:
            stream.state = stream.state
    for place, result in kept:  # later calls do not change earlier results
        assert_array_equal(result["outputs"], expected["outputs"][:, place])
        assert_array_equal(result["twice"], expected["twice"][:, place])
        assert all(array.flags.c_contiguous and array.flags.writeable for array in flatten(result))
    last = program.inference(x=whole[:, :at])["state"]
    for ours, theirs in zip(flatten(kept[-1][1]["state"]), flatten(last), strict=True):
        assert_array_equal(ours, theirs)
    for ours, theirs in zip(flatten(stream.state), flatten(last), strict=True):
        assert_array_equal(ours, theirs)


def test_a_step_in_float64_leaves_the_others_bound(general_calls: list[int]) -> None:
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0])
    whole = data(2, 9, WIDTH)
    expected = program.inference(x=whole)
    stream = program.inference.stream(2)
    for at in range(9):
        general_calls.clear()
        step = whole[:, at].astype(np.float64) if at in (0, 4) else whole[:, at]
        assert_array_equal(stream.step(x=step), expected[:, at])
        assert bool(general_calls) == (at in (0, 4))


def test_long_chunks_are_not_bound() -> None:
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0])
    whole = data(1, 20000, WIDTH)
    expected = program.inference(x=whole)
    stream = program.inference.stream(1)
    for start in (0, 9000):
        assert_array_equal(stream.process(x=whole[:, start : start + 9000]), expected[:, start : start + 9000])
    assert_array_equal(stream.process(x=whole[:, 18000:]), expected[:, 18000:])


def test_a_stream_notices_other_parameters_and_threads() -> None:
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0])
    whole = data(2, 12, WIDTH)
    stream, other = program.inference.stream(2), program.inference.stream(2)
    for at in range(6):
        if at % 2:
            program.initialize(at)
        if at == 3:
            program.threads = 2
        ours = stream.step(x=whole[:, at])
        theirs = other.step(MappingProxyType({"x": whole[:, at]}))
        assert_array_equal(ours, theirs)
        ours = stream.process(x=whole[:, at : at + 2])
        assert_array_equal(ours, other.process(MappingProxyType({"x": whole[:, at : at + 2]})))
