"""Generation of tokens against whole calls over the growing sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg

CLASSES = 23


def net(hidden: bool = False, **options: Any) -> rg.Program:
    ids = rg.placeholder("ids", (None, None), "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(17), rg.gather(rg.parameter("table", (CLASSES, 8)), ids))
    logits = rg.dense(outputs, CLASSES)
    program = rg.compile({"logits": logits, "hidden": outputs} if hidden else logits, seed=4, **options)
    for name, array in program.parameters.items():
        program.parameters[name] = 4 * array  # so that tokens differ
    return program


def prompt(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, CLASSES, shape)


@pytest.mark.parametrize("length", [1, 7, 300])
def test_tokens_are_those_of_whole_calls(length: int) -> None:
    program, sequence = net(), prompt(length).tolist()
    tokens = [*program.inference.generate(sequence, max_new=12)]
    for token in tokens:
        assert token == int(program.inference(ids=[sequence])[0, -1].argmax())
        sequence.append(token)
    assert len(tokens) == 12
    assert len(set(tokens)) > 1


def test_rows_run_together_and_stop_apart() -> None:
    program, prompts = net(), prompt(3, 5)
    alone = [[*program.inference.generate(row, max_new=9)] for row in prompts]
    together = np.stack([*program.inference.generate(prompts, max_new=9)], 1)
    np.testing.assert_array_equal(together, alone)
    ends = {row[4] for row in alone}
    stopped = np.stack([*program.inference.generate(prompts, max_new=9, stop=ends)], 1)
    for row, tokens in zip(stopped, alone, strict=True):
        count = next(number for number, token in enumerate(tokens) if token in ends)
        np.testing.assert_array_equal(row[:count], tokens[:count])
        assert (row[count:] == -1).all()


def test_a_row_ends_before_its_stop() -> None:
    program = net()
    tokens = [*program.inference.generate(prompt(5), max_new=20)]
    end = tokens.index(tokens[6])
    for stop in (tokens[6], [tokens[6]], lambda token: token == tokens[6]):
        assert [*program.inference.generate(prompt(5), max_new=20, stop=stop)] == tokens[:end]
    assert [*program.inference.generate(prompt(5), max_new=0)] == []


def test_samples_are_those_of_rg_sample() -> None:
    program, sampling = net(), {"temperature": 0.9, "top_k": 5, "top_p": 0.95, "seed": 3}
    drawn = [*program.inference.generate(prompt(4), max_new=15, sample=sampling)]
    assert drawn == [*program.inference.generate(prompt(4), max_new=15, sample=sampling)]
    assert drawn != [*program.inference.generate(prompt(4), max_new=15, sample={**sampling, "seed": 4})]
    logits = rg.placeholder("logits", (None, None, CLASSES))
    whole = [*prompt(4), *drawn]
    rows = program.inference(ids=[whole[:-1]])[:, 3:]
    assert rg.compile(rg.sample(logits, **sampling)).inference(logits=rows)[0].tolist() == drawn
    assert [*program.inference.generate(prompt(4), max_new=3, sample={"temperature": 0})] == [
        *program.inference.generate(prompt(4), max_new=3)
    ]


def test_a_function_chooses() -> None:
    program = net()
    least = [*program.inference.generate(prompt(4), max_new=5, sample=lambda logits: int(logits.argmin()))]
    sequence = prompt(4).tolist()
    for token in least:
        assert token == int(program.inference(ids=[sequence])[0, -1].argmin())
        sequence.append(token)
    several = program.inference.generate(prompt(2, 4), max_new=5, sample=lambda logits: logits.argmin(-1))
    assert [int(tokens[0]) for tokens in several] == [
        *program.inference.generate(prompt(2, 4)[0], max_new=5, sample=np.argmin)
    ]


def test_a_net_that_draws_itself() -> None:
    ids = rg.placeholder("ids", (None, None), "int32")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(17), rg.gather(rg.parameter("table", (CLASSES, 8)), ids))
    program = rg.compile({"token": rg.sample(rg.dense(outputs, CLASSES), seed=2)}, seed=4)
    sequence = prompt(4).tolist()
    for token in program.inference.generate(sequence, max_new=6):
        assert token == program.inference(ids=[sequence])["token"][0, -1]
        sequence.append(token)
    assert len(sequence) == 10
    with pytest.raises(rg.ArgumentError, match="a token that the net draws itself"):
        program.inference.generate([1], sample={"seed": 1})


def test_input_and_output_are_chosen_by_name() -> None:
    program = net(hidden=True)
    with pytest.raises(rg.ArgumentError, match=r"logits f32\[B,T,23\], hidden f32\[B,T,17\]; choose by output="):
        program.inference.generate([1])
    assert len([*program.inference.generate([1], max_new=2, output="logits", input="ids")]) == 2
    with pytest.raises(rg.ArgumentError, match="output='logit' is no output that gives logits"):
        program.inference.generate([1], output="logit")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"ids": [1.5]}, rg.DtypeError, "takes integers as tokens, not float64"),
        ({"ids": []}, rg.ShapeError, "give at least one token"),
        ({"ids": [[1], [1, 2]]}, rg.ShapeError, "prompts of one length"),
        ({"ids": [1], "sample": {"heat": 1}}, rg.ArgumentError, "dict of temperature, top_k, top_p, seed"),
        ({"ids": [1], "stop": "a"}, rg.DtypeError, "must be a token, several"),
        ({"ids": [1], "max_new": -1}, rg.ArgumentError, "max_new"),
        ({"ids": [1], "input": "x"}, rg.ArgumentError, "there are: ids i64"),
    ],
)
def test_errors_name_the_line(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        net().inference.generate(**arguments)
    assert caught.value.where.file == __file__  # type: ignore[attr-defined]


def test_nets_that_look_ahead_and_not_a_number_are_refused() -> None:
    ids = rg.placeholder("ids", (None, None), "int64")
    embedded = rg.gather(rg.parameter("table", (CLASSES, 8)), ids)
    ahead = rg.compile(rg.conv1d(embedded, CLASSES, 3, padding="same"))
    with pytest.raises(rg.GraphError, match="gives its outputs 1 steps later"):
        ahead.inference.generate([1])
    program = net()
    name = [*program.parameters][-1]
    program.parameters[name] = np.full_like(program.parameters[name], np.nan)
    with pytest.raises(rg.NonFiniteError, match="has NaN among its logits"):
        next(iter(program.inference.generate([1, 2])))
