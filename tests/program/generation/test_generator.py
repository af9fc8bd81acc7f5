"""Concurrent generations of many callers against each caller alone."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

CLASSES = 23


def net(sampled: bool = False, scale: float = 4.0) -> rg.Program:
    ids = rg.placeholder("ids", (None, None), "int64")
    embedded = rg.gather(rg.parameter("table", (CLASSES, 8)), ids)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(17), rg.conv1d(embedded, 8, 3))
    logits = rg.dense(outputs, CLASSES)
    program = rg.compile(rg.sample(logits, seed=2) if sampled else {"logits": logits}, seed=4)
    for name, array in program.parameters.items():
        program.parameters[name] = scale * array  # larger weights, so that tokens differ
    return program


@pytest.fixture(scope="module")
def program() -> rg.Program:
    return net()


@pytest.fixture
def generator(program: rg.Program) -> Iterator[rg.Generator]:
    with program.inference.generator(slots=3, max_prefill=5) as generator:
        yield generator
        generator.close(cancel=True)  # a failed test may leave a long generation


def prompts(count: int, longest: int = 40) -> list[list[int]]:
    draw = np.random.default_rng(count)
    return [draw.integers(0, CLASSES, draw.integers(1, longest)).tolist() for _ in range(count)]


WAYS: list[dict[str, Any]] = [
    {},
    {"sample": {"temperature": 0.9}, "number": 3},
    {"sample": {"temperature": 1.3, "top_k": 5}, "number": 1},
    {"sample": {"top_p": 0.8}, "number": 4},
    {"sample": {"temperature": 0.7, "top_k": 9, "top_p": 0.9, "seed": 1}},
    {"sample": {"temperature": 0}},
    {"sample": lambda logits: int(logits.argmin())},
]


@pytest.mark.parametrize("sampled", [False, True])
def test_the_end_of_a_table_of_positions_ends_only_the_generation_that_reaches_it(sampled: bool) -> None:
    ids = rg.placeholder("ids", (None, None), "int64")
    places = rg.gather(rg.parameter("places", (12, 8)), rg.positions(ids, axis=1))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(17), rg.gather(rg.parameter("table", (CLASSES, 8)), ids) + places)
    logits = rg.dense(outputs, CLASSES)
    inference = rg.compile(rg.sample(logits, seed=2) if sampled else {"logits": logits}, seed=4).inference
    alone = [*inference.generate([1, 2], max_new=9)]
    with inference.generator(slots=2, max_prefill=8) as generator:
        long, short = generator.submit([*range(8)], max_new=20), generator.submit([1, 2], max_new=9)
        with pytest.raises(rg.ShapeError, match="more steps than the 12 rows of a table of positions"):
            list(long)
        assert [*short] == alone


def test_each_caller_has_the_tokens_it_would_have_alone(program: rg.Program, generator: rg.Generator) -> None:
    asked = [
        (ids, {**WAYS[n % len(WAYS)], "max_new": 1 + 3 * n, "stop": 5 if n % 2 else None})
        for n, ids in enumerate(prompts(9))
    ]
    handles = [generator.submit(ids, **options) for ids, options in asked]
    for handle, (ids, options) in zip(handles, asked, strict=True):
        alone = [*program.inference.generate(ids, **options)]
        assert [*handle] == alone
        assert handle.finish == ("length" if len(alone) == options["max_new"] else "stop")
    assert generator.counts["read"] == sum(len(ids) for ids, _ in asked)


def test_a_stop_token_is_not_counted(program: rg.Program, generator: rg.Generator) -> None:
    (ids,) = prompts(1)
    sample = {"temperature": 1.3}
    tokens = [*program.inference.generate(ids, max_new=9, sample=sample)]
    stop = next(token for token in tokens if token != tokens[0])
    expected = tokens[: tokens.index(stop)]
    assert [*generator.submit(ids, max_new=9, sample=sample, stop=stop)] == expected
    generator.close()
    assert generator.counts["new"] == len(expected)


def test_a_net_that_draws_itself_draws_by_the_callers_number() -> None:
    program = net(sampled=True)
    asked = [(ids, number) for number, ids in enumerate(prompts(5))]
    with program.inference.generator(slots=2, max_prefill=7) as generator:
        handles = [generator.submit(ids, max_new=9, number=number) for ids, number in asked]
        for handle, (ids, number) in zip(handles, asked, strict=True):
            sequence = [*ids]
            for token in handle:
                assert token == program.inference(ids=[sequence], number=number)[0, -1]
                sequence.append(token)
            assert sequence[len(ids) :] == [*program.inference.generate(ids, max_new=9, number=number)]
        with pytest.raises(rg.ArgumentError, match="the net itself draws its tokens"):
            generator.submit([1], sample={"seed": 1})


def test_a_shared_prompt_is_read_once(program: rg.Program, generator: rg.Generator) -> None:
    shared, turns = prompts(1)[0], prompts(4, 6)
    states = [generator.submit(shared, max_new=0, keep_state=True).state, program.inference.stream().state]
    stream = program.inference.stream()
    stream.process(ids=[shared])
    states[1:] = [stream.state, stream.state_bytes()]
    for state in states:
        handles = [generator.submit(ids, max_new=7, state=state) for ids in turns]
        for ids, handle in zip(turns, handles, strict=True):
            expected = [*program.inference.generate([*shared, *ids], max_new=7)]
            assert [*handle] == expected == [*program.inference.generate(ids, max_new=7, state=state)]


def test_forks_of_a_net_that_draws_have_their_own_numbers() -> None:
    program, shared = net(sampled=True), prompts(1)[0]
    state = program.inference.generate(shared, max_new=0, number=8).state
    with program.inference.generator() as generator:
        for number in (None, 0, 3):
            alone = [*program.inference.generate([*shared, 1], max_new=12, number=8 if number is None else number)]
            assert [*generator.submit([1], max_new=12, state=state, number=number)] == alone
            assert [*program.inference.generate([1], max_new=12, state=state, number=number)] == alone


def test_a_state_includes_the_returned_tokens(program: rg.Program, generator: rg.Generator) -> None:
    ids = prompts(1)[0]
    for options in ({"max_new": 4}, {"max_new": 30, "stop": [*program.inference.generate(ids, max_new=6)][5]}):
        handle = generator.submit(ids, keep_state=True, **options)
        sequence = [*ids, *handle]
        expected = [*program.inference.generate([*sequence, 2], max_new=5)]
        assert [*generator.submit([2], max_new=5, state=handle.state)] == expected
    with pytest.raises(rg.GraphError, match="keep_state=True"):
        _ = generator.submit([1], max_new=0).state


def test_states_are_kept_while_other_callers_continue(program: rg.Program, generator: rg.Generator) -> None:
    asked = [(ids, {"max_new": count}) for ids, count in zip(prompts(3, 4), (2, 30, 17), strict=True)]
    handles = [generator.submit(ids, keep_state=True, **options) for ids, options in asked]
    for handle, (ids, options) in zip(handles, asked, strict=True):
        alone = program.inference.generate(ids, **options)
        assert [*handle] == [*alone]
        states = [np.concatenate(flatten(one.state.nest), 1) for one in (handle, alone)]
        np.testing.assert_array_equal(*states)


def flatten(nest: Any) -> list[np.ndarray]:
    if isinstance(nest, np.ndarray):
        return [nest.reshape(1, -1)]
    return [array for part in (nest.values() if isinstance(nest, dict) else nest) for array in flatten(part)]


def test_a_token_that_the_net_does_not_take_ends_its_own_caller_only() -> None:
    ids = rg.placeholder("ids", (None, None), "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(9), rg.gather(rg.parameter("table", (20, 8)), ids))
    program = rg.compile(rg.dense(outputs, CLASSES), seed=4)  # the net may choose tokens beyond its table
    at_fourth = iter([1, 2, 3, 21, 1, 1])
    with program.inference.generator() as generator:
        wrong = generator.submit([1], max_new=90, sample=lambda logits: next(at_fourth))
        others = [generator.submit([n], max_new=60, sample=lambda logits: int(logits[:20].argmax())) for n in (2, 3)]
        assert [next(wrong) for _ in range(4)] == [1, 2, 3, 21]
        with pytest.raises(rg.RnnGraphError):
            next(wrong)
        for n, other in zip((2, 3), others, strict=True):
            alone = program.inference.generate([n], max_new=60, sample=lambda logits: int(logits[:20].argmax()))
            assert [*other] == [*alone]
        with pytest.raises(rg.RnnGraphError):
            generator.submit([25]).__next__()


def test_coroutines_and_threads_share_a_generator(program: rg.Program, generator: rg.Generator) -> None:
    asked = prompts(6)
    alone = [[*program.inference.generate(ids, max_new=11)] for ids in asked]

    async def one(ids: list[int]) -> list[int]:
        with generator.submit(ids, max_new=11) as handle:
            return [token async for token in handle]

    async def all_of() -> list[list[int]]:
        return await asyncio.gather(*map(one, asked))

    got: list[list[int]] = []
    thread = threading.Thread(target=lambda: got.extend([*generator.submit(ids, max_new=11)] for ids in asked))
    thread.start()
    assert asyncio.run(all_of()) == alone
    thread.join()
    assert got == alone


def wait_until(holds: Any) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_callers_that_leave_free_their_slots(program: rg.Program, generator: rg.Generator) -> None:
    handles = [generator.submit([1, 2], max_new=10**9) for _ in range(5)]
    wait_until(lambda: (generator.running, generator.waiting) == (3, 2))
    next(handles[0])
    handles[0].cancel()
    handles[4].cancel()  # still in the queue
    del handles[1]
    gc.collect()
    with generator.submit([3], max_new=10**9) as left:
        next(left)
    wait_until(lambda: generator.running == 2)
    assert generator.waiting == 0
    assert left.finish == "cancelled"
    assert handles[0].finish == handles[3].finish == "cancelled"
    for handle in handles:
        handle.cancel()
    wait_until(lambda: not generator.running)
    assert [*generator.submit([4], max_new=3)] == [*program.inference.generate([4], max_new=3)]


def test_too_many_callers_are_refused(program: rg.Program) -> None:
    with program.inference.generator(slots=1, max_waiting=1) as generator:
        handles = [generator.submit([1], max_new=10**9) for _ in range(2)]
        wait_until(lambda: generator.running == 1)
        with pytest.raises(rg.BusyError, match=r"test_generator.py:\d+: .*1 callers wait.*max_waiting=1"):
            generator.submit([1])
        handles.pop().cancel()
        handles.append(generator.submit([1], max_new=10**9))
        generator.close(timeout=0.05)
        for handle in handles:
            with pytest.raises(rg.BusyError, match="was closed before"):
                list(handle)
        with pytest.raises(rg.BusyError, match="is closed"):
            generator.submit([1])


def test_errors_of_one_caller_are_its_own(program: rg.Program, generator: rg.Generator) -> None:
    def fails(_: Any) -> int:
        raise KeyError("mine")

    other = generator.submit([1, 2], max_new=40)
    for options, error in (
        ({"sample": fails}, KeyError),
        ({"stop": fails}, KeyError),
        ({"sample": lambda logits: 0.5}, rg.DtypeError),
        ({"sample": lambda logits: CLASSES}, rg.DtypeError),
        ({"sample": lambda logits: logits}, rg.DtypeError),
    ):
        with pytest.raises(error):
            list(generator.submit([1], **options))
    with pytest.raises(rg.ArgumentError, match="dict of temperature"):
        generator.submit([1], sample={"heat": 1})
    with pytest.raises(rg.ShapeError, match="one prompt"):
        generator.submit([[1]])
    with pytest.raises(rg.ArgumentError, match="nothing is drawn"):
        generator.submit([1], number=1)
    assert [*other] == [*program.inference.generate([1, 2], max_new=40)]


def test_a_step_waits_for_a_slice_of_a_long_prompt_only(program: rg.Program) -> None:
    """Between two steps of running callers, the generator reads at most ``max_prefill`` tokens of prompts."""
    with program.inference.generator(slots=4, max_prefill=8) as generator:
        seen: list[tuple[int, int]] = []

        def watch(logits: np.ndarray) -> int:
            seen.append((generator.counts["read"], generator.counts["new"]))
            return int(logits.argmax())

        steady = generator.submit([1], max_new=300, sample=watch)
        newcomers = [generator.submit(ids, max_new=1) for ids in ([2] * 500, [3] * 90, [4] * 3)]
        assert [len([*handle]) for handle in (*newcomers, steady)] == [1, 1, 1, 300]
        reads = np.diff([read for read, _ in seen])
        assert reads.max() == 8
        assert seen[-1][0] == 594


@pytest.mark.parametrize("sampled", [False, True])
def test_not_a_number_ends_its_own_caller_only(sampled: bool) -> None:
    program = net(sampled)
    program.parameters["table"] = np.where(np.arange(CLASSES)[:, None] == 7, np.nan, program.parameters["table"])
    stop = range(7, CLASSES)
    with program.inference.generator() as generator:
        for ids in ([1, 7, 2], [3, 4]):
            handle, other = generator.submit(ids, stop=stop), generator.submit([3, 5], stop=stop)
            alone = program.inference.generate(ids, stop=stop)
            if 7 in ids:
                with pytest.raises(rg.NonFiniteError, match="NaN"):
                    list(handle)
                with pytest.raises(rg.NonFiniteError, match="NaN"):
                    list(alone)
            else:
                assert [*handle] == [*alone]
            assert [*other] == [*program.inference.generate([3, 5], stop=stop)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks of POSIX")
def test_the_child_of_a_fork_gets_an_error(generator: rg.Generator) -> None:
    handle = generator.submit([1], max_new=10**9)
    next(handle)
    child = os.fork()
    if not child:
        errors = 0
        for use in (lambda: list(handle), lambda: generator.submit([1])):
            try:
                use()
            except (rg.GraphError, rg.BusyError) as error:
                errors += "forked" in str(error)
        handle.cancel()
        generator.close()
        os._exit(errors)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    next(handle)
    handle.cancel()


def nets() -> Iterator[rg.Program]:
    ids = rg.placeholder("ids", (None, None), "int64")
    x = rg.embedding(ids, 90, 32)
    near = rg.conv1d(rg.rms_norm(x), 32, 4, activation="swish", groups=32)
    delta, _ = rg.dynamic_rnn(rg.GatedDeltaNetCell(2, 16), near)
    lstm, _ = rg.dynamic_rnn(rg.LSTMCell(48), x)
    gru, _ = rg.dynamic_rnn(rg.MinGRUCell(32), x)
    yield rg.compile({"logits": rg.dense(delta, 90)}, seed=1)
    yield rg.compile({"logits": rg.dense(lstm, 90)}, seed=1, threads=2)
    yield rg.compile({"logits": rg.dense(rg.dense(gru, 64, "tanh"), 90)}, seed=1, weights="int4")
    yield rg.compile({"logits": rg.dense(rg.dense(gru, 64, "tanh"), 90)}, seed=1, weights="bfloat16")


@pytest.mark.exhaustive
def test_random_callers_have_the_tokens_they_would_have_alone() -> None:
    """Random callers get the tokens of each alone, with threads, narrow weights and cancellations."""
    for seed, program in enumerate(nets()):
        draw = random.Random(seed)
        samples = [None, {"temperature": 1.7}, {"top_k": 20}, {"top_p": 0.6}, {"top_k": 7, "top_p": 0.7}]
        with program.inference.generator(slots=5, max_waiting=100, max_prefill=9) as generator:
            asked: list[tuple[rg.GenerationHandle, list[int], dict[str, Any]]] = []
            for _ in range(60):
                ids, sample = [draw.randrange(90) for _ in range(draw.randint(1, 60))], draw.choice(samples)
                number = None if sample is None else draw.randrange(-99, 10**12)
                options = {
                    "max_new": draw.randint(0, 40),
                    "sample": sample,
                    "number": number,
                    "stop": draw.randrange(90),
                }
                asked.append((generator.submit(ids, **options), ids, options))
                if draw.random() < 0.2:
                    asked[-1][0].cancel()
            for handle, ids, options in asked:
                tokens, alone = [*handle], [*program.inference.generate(ids, **options)]
                assert tokens == (alone[: len(tokens)] if handle.finish == "cancelled" else alone)
