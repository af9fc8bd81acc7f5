"""States that are inputs and outputs of a net and store a sequence's past: streams have the whole sequence's bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

BATCH, WIDTH = 2, 3
Net = tuple[dict[str, Any], dict[str, str]]


def joined(cache: rg.Tensor, x: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
    """Return the concatenation along time, and the last two entries of that."""
    whole = rg.concat([cache, x], axis=1)
    return whole, whole[:, -2:]


def fed() -> rg.Tensor:
    return rg.placeholder("x", (None, "T", WIDTH))


def recurred(x: rg.Tensor) -> rg.Tensor:
    return rg.dynamic_rnn(rg.GRUCell(4), x)[0]


def strided(stride: int) -> Net:
    whole, last = joined(rg.placeholder("cache", (None, 2, WIDTH)), fed())
    y = rg.conv1d(rg.tanh(whole), 4, 3, padding="valid", strides=stride)
    return {"y": recurred(y), "last": last}, {"last": "cache"}


def dilated_by_hand() -> Net:
    """Declare a dilated convolution as a sum of slices, which occurs in files."""
    whole, last = joined(rg.placeholder("cache", (None, 2, WIDTH)), fed())
    return {"y": recurred(whole[:, :-2] * 2.0 + whole[:, 2:]), "last": last}, {"last": "cache"}


def two_in_one() -> Net:
    """Declare a single state with two pasts, of which the second belongs to a later value."""
    caches = rg.placeholder("caches", (2, None, 2, WIDTH))
    first, last = joined(caches[0], fed())
    second, other = joined(caches[1], rg.tanh(rg.conv1d(first, WIDTH, 3, padding="valid")))
    y = recurred(rg.conv1d(second, 4, 3, padding="valid"))
    return {"y": y, "last": rg.stack([last, other], axis=0)}, {"last": "caches"}


def behind_what_looks_ahead() -> Net:
    """Declare a state of the input, followed by a convolution that looks ahead."""
    whole, last = joined(rg.placeholder("cache", (None, 2, WIDTH)), fed())
    y = rg.conv1d(rg.conv1d(whole, 4, 3, padding="valid"), 4, 3, padding="same")
    return {"y": recurred(y), "last": last}, {"last": "cache"}


NETS: dict[str, Callable[[], Net]] = {
    "a convolution": lambda: strided(1),
    "every second step": lambda: strided(2),
    "by hand": dilated_by_hand,
    "two in one": two_in_one,
    "looking ahead": behind_what_looks_ahead,
}


@pytest.mark.parametrize("name", NETS)
def test_streams_have_the_bits_of_the_whole(name: str) -> None:
    outputs, states = NETS[name]()
    program = rg.compile(outputs, states=states, seed=1)
    shape = (2, BATCH, 2, WIDTH) if name == "two in one" else (BATCH, 2, WIDTH)
    (state,) = states.values()
    x = np.random.default_rng(0).standard_normal((BATCH, 9, WIDTH))
    whole = program.inference({"x": x, state: np.zeros(shape)})
    stream = program.inference.stream(batch=BATCH)
    rate = stream.rate
    step = x[:, :rate] if rate > 1 else x[:, 0]
    found = [stream.step(x=step)["y"][:, None], stream.process(x=x[:, rate : 8 if rate > 1 else 5])["y"]]
    if rate == 1:
        found.append(stream.process(x=x[:, 5:])["y"])
        assert np.array_equal(stream.state[1][state], whole["last"])
    if stream.delay or rate > 1:
        found.append(stream.flush(x=x[:, 9 - 9 % rate :])["y"] if rate > 1 else stream.flush()["y"])
    given = np.concatenate(found, axis=1)[:, stream.delay :]
    assert np.array_equal(given, whole["y"])


def test_values_that_are_no_past_are_rejected() -> None:
    cache = rg.placeholder("cache", (None, 2, WIDTH))
    whole, last = joined(cache, fed())
    y = recurred(rg.conv1d(whole, 4, 3, padding="valid"))
    for following in (rg.tanh(last), last[:, ::-1], whole[:, -3:-1], cache):
        program = rg.compile({"y": y, "next": following}, states={"next": "cache"})
        with pytest.raises(rg.GraphError, match="can't be streamed"):
            program.inference.stream()


def test_the_past_of_an_op_that_looks_ahead_is_rejected() -> None:
    ahead = rg.conv1d(fed(), WIDTH, 3, padding="same")
    whole, last = joined(rg.placeholder("cache", (None, 2, WIDTH)), ahead)
    y = recurred(rg.conv1d(whole, 4, 3, padding="valid"))
    with pytest.raises(rg.GraphError, match="the past of a value that depends on later steps"):
        rg.compile({"y": y, "next": last}, states={"next": "cache"}).inference.stream()


def test_steps_that_begin_with_a_past_are_no_steps() -> None:
    x = fed()
    whole, last = joined(rg.placeholder("cache", (None, 2, WIDTH)), x)
    for y in (recurred(whole), whole):
        program = rg.compile({"y": y, "z": recurred(x), "next": last}, states={"next": "cache"})
        with pytest.raises(rg.GraphError, match="the past that a state holds as if it were steps"):
            program.inference.stream()
