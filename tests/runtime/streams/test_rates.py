"""Streams with several entries for each step, and with a delay: steps, chunks, rows, and the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from streamed import WIDTH, check_drawn, check_lengths, check_same_state, leaves, normal

import rnngraph as rg

BATCH = 3


def same(x: rg.Tensor, filters: int = 4, size: int = 3, **options: Any) -> rg.Tensor:
    return rg.conv1d(x, filters, size, padding="same", **options)


def front_end(x: rg.Tensor) -> rg.Tensor:
    """Return strided convolutions, a recurrence, and a scalar for each step."""
    x = rg.relu(same(x, 6, 5, strides=2))
    x = rg.relu(same(x, 5, 3, strides=2))
    x, _ = rg.dynamic_rnn(rg.LSTMCell(5), x)
    return rg.sigmoid(rg.dense(x, 1))


NETS: dict[str, Callable[[rg.Tensor], Any]] = {
    "strided": lambda x: rg.conv1d(x, 4, 3, strides=2),
    "late": same,
    "late and strided": front_end,
    "a residual": lambda x: same(rg.tanh(same(x)), size=5, dilation=2) + x,
    "pools": lambda x: rg.average_pool1d(rg.max_pool1d(x, 3, 1, padding="same"), 2),
    "mirrored": lambda x: same(rg.conv1d(x, 4, 7, padding="reflect"), strides=2),
    "depthwise": lambda x: rg.dense(same(x, 8, 7, groups=4), 3),
    "valid": lambda x: rg.conv1d(x, 4, 5, padding="valid", strides=3),
    "two rates": lambda x: {"fast": same(x), "slow": (rg.conv1d(x, 2, 2, strides=2), rg.dense(x, 2)[:, -1])},
}


def compiled(name: str) -> Any:
    return rg.compile(NETS[name](rg.placeholder("x", (None, None, WIDTH))))


@pytest.mark.parametrize("name", NETS)
def test_steps_chunks_and_the_end_have_the_bits_of_the_whole(name: str) -> None:
    program = compiled(name)
    rate = program.inference.stream().rate
    assert check_lengths(program, BATCH, (*range(rate, 2 * rate + 2), 7 * rate, 63)) > 3


@pytest.mark.parametrize("seed", range(2))
def test_random_nets(seed: int) -> None:
    check_drawn(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("hundred", range(1, 4))
def test_more_random_nets(hundred: int) -> None:
    assert sum(map(check_drawn, range(100 * hundred, 100 * hundred + 100))) > 400


def test_the_end_rejects_sequences_that_a_whole_call_rejects() -> None:
    program, x = compiled("mirrored"), normal(BATCH, 6, WIDTH)
    stream = program.inference.stream(batch=BATCH)
    stream.process(x=x[:, :4])
    stream.reset(rows=[1])
    stream.process(x=x[:, 4:])
    assert stream.flush(rows=[0, 2])[:, -2:].any()
    with pytest.raises(rg.ShapeError, match=r"ends after 2 entries, and a slice 1:4 .* needs more"):
        stream.flush()
    with pytest.raises(rg.ShapeError, match="a slice 1:4"):
        program.inference(x=x[:, :2])


@pytest.mark.parametrize("name", NETS)
def test_a_step_is_a_chunk_of_one(name: str) -> None:
    inference = compiled(name).inference
    stepped, chunked = inference.stream(batch=BATCH), inference.stream(batch=BATCH)
    rate = stepped.rate
    x = normal(BATCH, 6 * rate, WIDTH)
    for step in range(6):
        part = x[:, step * rate : (step + 1) * rate]
        one, chunk = stepped.step(x=part[:, 0] if rate == 1 else part), chunked.process(x=part)
        for left, right in zip(leaves(one), leaves(chunk), strict=True):
            assert_array_equal(left, right if left.ndim == right.ndim else right[:, 0])
    check_same_state(stepped, chunked)


@pytest.mark.parametrize("name", NETS)
def test_rows_begin_and_end_alone(name: str) -> None:
    """Rows of a stream begin and end at their own steps: row 1 begins two steps later, and ends earlier."""
    program = compiled(name)
    stream, alone = program.inference.stream(batch=BATCH), program.inference.stream()
    rate, others, one = stream.rate, [0, 2], [1]
    x, late = normal(BATCH, 7 * rate, WIDTH), normal(1, 3 * rate, WIDTH)

    def given(step: int) -> np.ndarray:
        part = x[:, step * rate : (step + 1) * rate].copy()
        if 2 <= step < 5:
            part[1] = late[0, (step - 2) * rate : (step - 1) * rate]
        return part

    collected: list[list[Any]] = [[] for _ in range(BATCH)]
    for step in range(7):
        rows = [0, 1, 2] if 2 <= step < 5 else others
        results = leaves(stream.process(x=given(step), rows=rows))
        for row in rows:
            collected[row].append([result[row] for result in results])
        if step == 4:
            end = leaves(stream.flush(rows=one))
            assert not any(result[others].any() for result in end)
            collected[1].append([result[1] for result in end])
    end = leaves(stream.flush())
    for row in others:
        collected[row].append([result[row] for result in end])
    for row, sequence in enumerate((x[:1], late, x[2:])):
        steps = sequence.shape[1] // rate
        chunks = [alone.process(x=sequence[:, step * rate : (step + 1) * rate]) for step in range(steps)]
        for results, expected in zip(collected[row], [*chunks, alone.flush()], strict=True):
            for left, right in zip(results, leaves(expected), strict=True):
                assert_array_equal(left, right[0])


def test_sequences_of_several_rates_are_one_chain_of_products() -> None:
    """A stream sums products of several sequences as a whole call does, though one sequence arrives earlier."""
    x, z = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("z", (None, None, 3))
    start = rg.placeholder("start", (None, 5))
    joined = rg.tanh(same(x, 6, strides=2) + rg.dense(z, 6))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(5), joined, initial_state=start)[0])
    feeds = {"x": normal(BATCH, 40, WIDTH), "z": normal(BATCH, 20, 3), "start": normal(BATCH, 5)}
    stream = program.inference.stream(batch=BATCH)
    assert (stream.rate, stream.delay) == (2, 1)
    first = stream.process({**feeds, "x": feeds["x"][:, :14], "z": feeds["z"][:, :7]})
    single = stream.step(x=feeds["x"][:, 14:16], z=feeds["z"][:, 7])
    rest = stream.process(x=feeds["x"][:, 16:], z=feeds["z"][:, 8:])
    actual = np.concatenate([first, single[:, None], rest, stream.flush()], 1)
    assert_array_equal(actual[:, 1:], program.inference(feeds))


def test_the_rest_of_every_sequence_is_needed() -> None:
    x, z = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("z", (None, None, 3))
    program = rg.compile(rg.conv1d(x, 6, 3, strides=2) + rg.dense(z, 6))
    feeds = {"x": normal(BATCH, 5, WIDTH), "z": normal(BATCH, 3, 3)}
    stream = program.inference.stream(batch=BATCH)
    first = stream.process(x=feeds["x"][:, :4], z=feeds["z"][:, :2])
    left = {"x": feeds["x"][:, 4:], "z": feeds["z"][:, 2:]}
    with pytest.raises(rg.NameLookupError, match="flush needs z; feed its remaining entries"):
        stream.flush(x=left["x"])
    with pytest.raises(rg.NameLookupError, match="knob"):
        stream.flush(knob=1.0)
    assert_array_equal(np.concatenate([first, stream.flush(left)], 1), program.inference(feeds))


@pytest.mark.parametrize("options", [{"threads": 2}, {"weights": "int8"}])
def test_workers_and_narrow_weights(options: Any) -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    program = rg.compile(rg.dynamic_rnn(rg.LSTMCell(64), same(x, 64, 5, strides=2))[0], **options)
    assert check_lengths(program, 8, (24,)) == 3


def test_a_state_continues_in_another_stream() -> None:
    inference = compiled("late and strided").inference
    stream, other = inference.stream(batch=BATCH), inference.stream(batch=BATCH)
    x = normal(BATCH, 24, WIDTH)
    stream.process(x=x[:, :12])
    other.load_state_bytes(stream.state_bytes())
    assert_array_equal(other.process(x=x[:, 12:]), stream.process(x=x[:, 12:]))
    other.state = stream.state
    assert_array_equal(other.flush(), stream.flush())
    check_same_state(other, stream)
    check_same_state(other, inference.stream(batch=BATCH))


def test_a_causal_stream_has_no_outputs_at_its_end() -> None:
    stream = rg.compile(rg.conv1d(rg.placeholder("x", (None, None, WIDTH)), 2, 3)).inference.stream()
    assert (stream.rate, stream.delay) == (1, 0)
    stream.step(x=normal(1, WIDTH))
    assert stream.flush().shape == (1, 0, 2)
    last = rg.compile(rg.placeholder("x", (None, None, WIDTH))[:, -1] * 2.0).inference.stream()
    with pytest.raises(rg.GraphError, match="take the result of the last step"):
        last.flush()


def test_parts_of_steps_are_refused() -> None:
    program = compiled("late and strided")
    stream = program.inference.stream(batch=BATCH)
    with pytest.raises(rg.ShapeError, match=r"test_rates.*x has 6 entries over time, but a step .* takes 4; feed a m"):
        stream.process(x=normal(BATCH, 6, WIDTH))
    for count in (3, 8):
        with pytest.raises(
            rg.ShapeError, match=rf"x has {count} entries over time, but a step .* takes 4; feed that many"
        ):
            stream.step(x=normal(BATCH, count, WIDTH))
    with pytest.raises(rg.ShapeError, match=r"x has 4 entries over time, but a flush takes at most 3"):
        stream.flush(x=normal(BATCH, 4, WIDTH))
    with pytest.raises(rg.GraphError, match=r"test_rates.*differ from its first step on.*test_rates"):
        stream.flush(x=normal(BATCH, 1, WIDTH))
