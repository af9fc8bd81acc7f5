"""States that are inputs and outputs of a net: streams carry them, with the bits of calls that pass them on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept_nets import (
    SEQUENCES,
    STEPS,
    Net,
    called,
    compiled,
    data,
    drawn,
    layers_first,
    one_step,
    restarts,
    same,
    time_of_one,
    without_rows,
    zeros,
)

import rnngraph as rg
from rnngraph import tf1 as tf


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_a_call_with_the_states_carried(name: str) -> None:
    make, shape = STEPS[name]
    net, batch = make(), 3
    program = compiled(net)
    stream, states = program.inference.stream(batch=batch), zeros(program, net, batch)
    for step in range(5):
        x = data(batch, *shape, seed=step)
        wanted, states = called(program, net, states, x=x)
        same(stream.step(x=x), wanted)
        same(stream.state, states)


@pytest.mark.parametrize("name", SEQUENCES)
def test_steps_and_chunks_are_whole_sequences(name: str) -> None:
    make, axis = SEQUENCES[name]
    net = make()
    program, x = compiled(net), data(3, 9, 5)
    whole, last = called(program, net, zeros(program, net, 3), x=np.moveaxis(x, 1, axis))
    stream = program.inference.stream(batch=3)
    for step in range(4):
        result = stream.step(x=x[:, step])
        assert {*result} == {"y"}
        np.testing.assert_array_equal(result["y"], np.take(whole["y"], step, axis))
    rest = stream.process(x=np.moveaxis(x[:, 4:], 1, axis))
    np.testing.assert_array_equal(rest["y"], np.take(whole["y"], range(4, 9), axis))
    nests = stream.state if isinstance(stream.state, tuple) else (stream.state,)
    same(next(nest for nest in nests if isinstance(nest, dict) and nest.keys() == last.keys()), last)


QUICK, MANY = range(4), range(4, 200)


@pytest.mark.parametrize("seed", [*QUICK, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in MANY)])
def test_random_nets_with_states_in_any_layout(seed: int) -> None:
    net, shape, axis = drawn(seed)
    program, batch = compiled(net), 1 + seed % 4
    stream, states = program.inference.stream(batch=batch), zeros(program, net, batch)
    dtype = program.inputs["x"].dtype
    xs = [data(batch, *shape, seed=step).astype(dtype) for step in range(5)]
    fed = xs if axis is None else [np.expand_dims(x, axis) for x in xs]
    for step in range(3):
        wanted, states = called(program, net, states, x=fed[step])
        actual = stream.step(x=xs[step])
        for name in wanted:
            np.testing.assert_array_equal(actual[name], wanted[name].reshape(actual[name].shape))
        same(stream.state, states)
    if axis is not None:
        wanted, states = called(program, net, states, x=np.concatenate(fed[3:], axis))
        same(stream.process(x=np.concatenate(fed[3:], axis)), wanted)
        same(stream.state, states)


def test_a_row_alone_is_a_row_of_the_batch() -> None:
    net = layers_first()
    program, x = compiled(net), data(3, 6, 5)
    together = program.inference.stream(batch=3).process(x=x)
    for row in range(3):
        np.testing.assert_array_equal(
            program.inference.stream().process(x=x[row : row + 1])["y"][0], together["y"][row]
        )


@pytest.mark.parametrize("make", [layers_first, time_of_one, restarts])
def test_rows_step_and_are_reset_by_themselves(make: Callable[[], Net]) -> None:
    """The batch axis is not the first axis of these states."""
    net = make()
    program = compiled(net)
    spec = program.inputs["x"].shape
    shape = (5,) if make is layers_first else spec[1:]
    stream, lone = program.inference.stream(batch=3), [program.inference.stream() for _ in range(3)]
    for step, rows in enumerate(([0, 1, 2], [1], [0, 2], [2])):
        x = data(3, *shape, seed=step)
        result = stream.step(x=x, rows=rows)
        for row in range(3):
            if row in rows:
                same(
                    {k: v[0] for k, v in lone[row].step(x=x[row : row + 1]).items()},
                    {k: result[k][row] for k in result},
                )
            else:
                assert not any(np.any(result[name][row]) for name in result)
    stream.reset(rows=[1])
    lone[1].reset()
    x = data(3, *shape, seed=9)
    result = stream.step(x=x)
    for row in range(3):
        same({k: v[0] for k, v in lone[row].step(x=x[row : row + 1]).items()}, {k: result[k][row] for k in result})


def test_a_state_is_set_saved_and_reset(tmp_path: Path) -> None:
    net = layers_first()
    program, x = compiled(net), data(3, 6, 5)
    stream = program.inference.stream(batch=3)
    state = {"h": data(2, 3, 7, seed=1), "c": data(2, 3, 7, seed=2)}
    stream.state = state
    wanted, last = called(program, net, state, x=x)
    same(stream.process(x=x), wanted)
    program.save(tmp_path / "saved")
    loaded = rg.load(tmp_path / "saved")
    other = loaded.inference.stream(batch=3)
    other.load_state_bytes(stream.state_bytes())
    same(other.state, last)
    same(other.process(x=x), called(program, net, last, x=x)[0])
    other.reset()
    same(other.process(x=x), called(loaded, net, zeros(program, net, 3), x=x)[0])
    with pytest.raises(rg.ShapeError, match=re.escape("kept/h must have shape (2, 3, 7)")):
        stream.state = {"h": state["h"][:, :2], "c": state["c"]}
    with pytest.raises(rg.StructureError, match="it takes \\(h, c\\)"):
        stream.state = {"h": state["h"]}


def test_a_state_begins_as_the_placeholders_default() -> None:
    x = rg.placeholder("x", (None, 5))
    h = tf.placeholder_with_default(np.full((1, 7), 0.5, np.float32), (1, 7), "h")
    after = rg.tanh(rg.dense(x, 7) + h)
    program = rg.compile({"y": after, "hn": after}, states={"hn": h}, seed=1)
    stream, fed = program.inference.stream(), data(1, 5)
    first = program.inference(x=fed)["y"]
    np.testing.assert_array_equal(stream.step(x=fed)["y"], first)
    np.testing.assert_array_equal(stream.step(x=fed)["y"], program.inference(x=fed, h=first)["y"])
    stream.reset()
    np.testing.assert_array_equal(stream.state["h"], np.full((1, 7), 0.5, np.float32))


def test_a_state_may_have_no_rows() -> None:
    net = without_rows()
    program = compiled(net)
    stream, states = program.inference.stream(), zeros(program, net, 1)
    for step in range(3):
        wanted, states = called(program, net, states, x=data(5, seed=step))
        same(stream.step(x=data(5, seed=step)), wanted)
    stream.reset(rows=[0])
    assert not stream.state["h"].any()
    with pytest.raises(rg.ShapeError, match="declared for a batch of 1, not 2"):
        program.inference.stream(batch=2)


def test_a_state_is_no_feed_and_no_result() -> None:
    program = compiled(one_step())
    with pytest.raises(rg.NameLookupError, match="the stream has no input 'h'; it takes x"):
        program.inference.stream().step(x=data(1, 5), h=data(1, 1, 7))
    assert {*program.inference(x=data(2, 5), h=data(1, 2, 7))} == {"y", "hn"}


def test_a_step_that_is_a_call_has_scalars_as_constant_feeds() -> None:
    x, gain, h = rg.placeholder("x", (None, 5)), rg.placeholder("gain", ()), rg.placeholder("h", (None, 7))
    after = rg.tanh(rg.dense(x, 7) * gain + h)
    program = rg.compile({"y": after + 0.0, "hn": after}, states={"hn": h})
    stream, state = program.inference.stream(), np.zeros((1, 7), np.float32)
    for gains, step in ((1.0, 0), (None, 1), (0.5, 2), (None, 3)):
        fed = {"x": data(1, 5, seed=step)} | ({} if gains is None else {"gain": np.float32(gains)})
        now = program.inference(x=fed["x"], gain=1.0 if step < 2 else 0.5, h=state)
        np.testing.assert_array_equal(stream.step(fed)["y"], now["y"])
        state = now["hn"]
    with pytest.raises(rg.NameLookupError, match="the stream needs x"):
        stream.step(gain=0.5)
    with pytest.raises(rg.NameLookupError, match="the stream needs x"):
        stream.step()


def wrong(states: Any, **outputs: Any) -> Callable[[], Any]:
    def declared() -> Any:
        x, h = rg.placeholder("x", (None, 5)), rg.placeholder("h", (None, 7))
        after = rg.tanh(rg.dense(x, 7) + h)
        given = {"y": after, "hn": after, "narrow": after[:, :3], "wide": after[None], "ints": rg.cast(after, "int32")}
        return rg.compile(given | {"pair": (after, after)} | outputs, states=states)

    return declared


@pytest.mark.parametrize(
    ("declared", "error", "words"),
    [
        (wrong({"hm": "h"}), rg.NameLookupError, "no output has that name; .*hn"),
        (wrong({"hn": "hh"}), rg.NameLookupError, "no placeholder has that name; there are h, x"),
        (wrong({"hn": 3}), rg.NameLookupError, "names 3, and no placeholder has that name"),
        (wrong({"hn": "h", "y": "h"}), rg.ArgumentError, "gives h two next values"),
        (wrong({"narrow": "h"}), rg.ShapeError, "the next value of h has shape"),
        (wrong({"wide": "h"}), rg.ShapeError, "the next value of h has shape"),
        (wrong({"ints": "h"}), rg.DtypeError, "the next value of h has dtype int32; it must be float32"),
        (wrong({"pair": "h"}), rg.StructureError, "names pair, which is a nest"),
        (wrong(["hn"]), rg.DtypeError, "states= takes {output: placeholder}"),
    ],
)
def test_wrong_states_are_errors_of_compile(declared: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        declared()


def test_an_output_that_is_only_a_state_is_refused() -> None:
    x, h = rg.placeholder("x", (None, 7)), rg.placeholder("h", (None, 7))
    with pytest.raises(rg.ArgumentError, match="streams would return nothing"):
        rg.compile({"hn": rg.tanh(x + h)}, states={"hn": "h"})
    with pytest.raises(rg.NameLookupError, match="there are none with names"):
        rg.compile(rg.tanh(x + h), states={"hn": "h"})


def test_states_that_no_step_could_keep_are_rejected() -> None:
    x, h = rg.placeholder("x", (None, None, 5)), rg.placeholder("h", (None, 7))
    outputs, state = rg.dynamic_rnn(rg.LSTMCell(7), x, initial_state=rg.LSTMStateTuple(rg.parameter("c0", (7,)), h))
    program = rg.compile({"y": outputs, "hn": state.h}, states={"hn": "h"})
    with pytest.raises(rg.GraphError, match="name all values that it carries in states="):
        program.inference.stream()
    window = rg.placeholder("window", (None, None, 5))
    program = rg.compile({"y": window * 2.0, "next": window + 1.0}, states={"next": "window"})
    with pytest.raises(rg.ShapeError, match="symbolic size"):
        program.inference.stream()
