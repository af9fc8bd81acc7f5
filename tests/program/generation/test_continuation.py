"""Generations that continue without a prompt have the tokens of one long generation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

CLASSES, PROMPT = 23, [3, 1, 4, 1, 5]


def net(is_sampled: bool = False) -> rg.Program:
    ids = rg.placeholder("ids", (None, None), "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(17), rg.gather(rg.parameter("table", (CLASSES, 8)), ids))
    logits = rg.dense(outputs, CLASSES)
    tokens = rg.sample(logits, 0.8, seed=2) if is_sampled else None
    program = rg.compile({"logits": logits, "again": 0.5 * logits} if tokens is None else tokens, seed=6)
    for name, array in program.parameters.items():
        program.parameters[name] = 4 * array  # larger weights, so that tokens differ
    return program


@pytest.fixture(scope="module")
def program() -> rg.Program:
    return net()


LOGITS = {"output": "logits"}
WAYS: dict[str, dict[str, Any]] = {
    "drawn outside": {**LOGITS, "sample": {"temperature": 1.3}, "number": 3},
    "greedy": LOGITS,
    "drawn inside": {"number": 5},
    "drawn with bounds": {**LOGITS, "sample": {"temperature": 1.3, "top_k": 9, "top_p": 0.9, "seed": 1}},
    "by a function": {**LOGITS, "sample": lambda logits: int(logits.argsort()[..., -2].reshape(()))},
}


@pytest.mark.parametrize("form", WAYS)
def test_pieces_are_one_long_generation(form: str, program: rg.Program, tmp_path: Path) -> None:
    program, options = net(True) if form == "drawn inside" else program, WAYS[form]
    generate, path = program.inference.generate, tmp_path / "talk.state"
    whole = [*generate(PROMPT, 20, **options)]
    assert len({*whole}) > 3
    turn = generate(PROMPT, 0, **options)
    pieces: list[int] = []
    for number, count in enumerate((4, 0, 1, 9, 6)):
        turn.save(path)
        turn = generate([], count, **options, state=turn.state if number % 2 else path)
        pieces += turn
    assert pieces == whole
    asked = {name: value for name, value in options.items() if name != "output"}
    with program.inference.generator(slots=2, output=options.get("output")) as generator:
        state, pieces = generate(PROMPT, 2, **options).state, []
        for count in (4, 0, 1, 9, 6):
            other = generator.submit(PROMPT, max_new=7)
            handle = generator.submit([], count, **asked, state=state, keep_state=True)
            pieces, state = [*pieces, *handle], handle.state
            assert len([*other]) == 7
        assert pieces == whole
        early = generate(PROMPT, 6, **options)
        tokens = [next(early), next(early)]
        assert [*tokens, *generator.submit([], 18, **asked, state=early.state)] == whole


@pytest.mark.parametrize("form", ["greedy", "drawn outside"])
def test_a_stopped_row_stays_stopped(form: str, program: rg.Program, tmp_path: Path) -> None:
    generate, options, prompts = program.inference.generate, WAYS[form], np.array([PROMPT, PROMPT[::-1], [7] * 5])
    alone = [[*generate(row, 12, **options)] for row in prompts]
    stop = alone[0][3]
    assert any(stop not in row for row in alone)
    whole = np.stack([*generate(prompts, 12, **options, stop=stop)], 1)
    first = generate(prompts, 7, **options, stop=stop)
    begin = np.stack([*first], 1)
    first.save(tmp_path / "rows.state")
    for state in (first.state, tmp_path / "rows.state"):
        end = np.stack([*generate(np.zeros((3, 0), int), 5, **options, stop=stop, state=state)], 1)
        np.testing.assert_array_equal(np.concatenate([begin, end], 1), whole)
    one = generate(PROMPT, 12, **options, stop=stop)
    assert [*one] == alone[0][: alone[0].index(stop)]
    assert [*generate([], 12, **options, stop=stop, state=one.state)] == []
    assert [*generate([], 3, **options, state=one.state)] == alone[0][
        len([*generate(PROMPT, 12, **options, stop=stop)]) :
    ][:3]


def test_a_state_without_its_last_output_is_an_error_with_the_remedy(program: rg.Program, tmp_path: Path) -> None:
    generate = program.inference.generate
    stream = program.inference.stream()
    stream.process(ids=[PROMPT])
    stream.save(tmp_path / "stream.state")
    words = "empty prompt only with the state of a generation by the output 'logits'.*give at least one token"
    states: list[Any] = [stream.state, stream.state_bytes(), tmp_path / "stream.state"]
    states.append(generate(PROMPT, 3, output="again").state)
    with program.inference.generator(output="logits") as generator:
        for state in states:
            with pytest.raises(rg.ShapeError, match=words):
                generate([], 3, **LOGITS, state=state)
            with pytest.raises(rg.ShapeError, match=words):
                generator.submit([], 3, state=state)
        with pytest.raises(rg.ShapeError, match=r"shape \(0,\); give at least one token"):
            generator.submit([], 3)
    with pytest.raises(rg.ShapeError, match=r"shape \(0,\); give at least one token"):
        generate([], 3, **LOGITS)
    two = generate([PROMPT, PROMPT], 3, **LOGITS)
    two.save(tmp_path / "two.state")
    with pytest.raises(rg.ShapeError, match=r"has 2 rows, and the empty prompt 1; give np.zeros\(\(2, 0\), int\)"):
        generate([], 3, **LOGITS, state=tmp_path / "two.state")


def test_streams_start_from_a_generation(program: rg.Program, tmp_path: Path) -> None:
    turn = program.inference.generate(PROMPT, 4, **LOGITS)
    sequence = [*PROMPT, *turn, 9]
    turn.save(tmp_path / "talk.state")
    expected = program.inference(ids=[sequence])["logits"][:, -1]
    for state in (turn.state, tmp_path / "talk.state"):
        np.testing.assert_array_equal(program.inference.stream(state=state).step(ids=[9])["logits"], expected)
    pool = program.inference.streams()
    handle = pool.open(state=turn.state)
    np.testing.assert_array_equal(pool.step({handle: {"ids": [9]}})[handle]["logits"], expected)
