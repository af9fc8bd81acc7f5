"""`rg.dynamic_decode` with a beam, against a search in NumPy that keeps whole hypotheses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg

WORDS, END, STEPS, WIDTH = 5, 0, 6, 3


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def gru(parameters: Any, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return the next state of a GRU."""
    gates = sigmoid(np.concatenate([x, h]) @ parameters["gates/kernel"] + parameters["gates/bias"])
    r, u = np.split(gates, 2)
    candidate = np.tanh(np.concatenate([x, r * h]) @ parameters["candidate/kernel"] + parameters["candidate/bias"])
    return np.asarray(u * h + (1.0 - u) * candidate)


def searched(parameters: Any, table: np.ndarray, h: np.ndarray, penalty: float) -> list[tuple[float, list[int]]]:
    """Return (score, words) of the best hypotheses of one row."""
    beams: list[Any] = [(0.0, [], h, table[1])]
    for _ in range(STEPS):
        every = []
        for total, words, state, fed in beams:
            if words and words[-1] == END:
                every.append((total, words, state, fed))
                continue
            new = gru(parameters, fed, state)
            log_probs = new - np.log(np.exp(new).sum())
            every += [(total + log_probs[word], [*words, word], new, table[word]) for word in range(WORDS)]
        beams = sorted(every, key=lambda item: -item[0] / ((5 + len(item[1])) / 6) ** penalty)[:WIDTH]
    return [(total / ((5 + len(words)) / 6) ** penalty, words) for total, words, _, _ in beams]


def program(penalty: float) -> Any:
    table = rg.parameter("table", (WORDS, 4), dtype="float64")
    thought = rg.placeholder("thought", (None, WORDS), dtype="float64")
    actual = rg.dynamic_decode(
        rg.GRUCell(WORDS),
        table[1],
        lambda words, _: rg.gather(table, words),
        STEPS,
        initial_state=thought,
        beam=rg.Beam(WIDTH, END, length_penalty=penalty),
    )
    compiled = rg.compile(actual._asdict())
    draw = np.random.default_rng(3)
    for name in compiled.parameters:
        compiled.parameters[name] = draw.normal(size=compiled.parameters[name].shape) * 1.5
    return compiled


@pytest.mark.parametrize("penalty", [0.0, 1.5])
def test_hypotheses_are_those_of_a_search_in_numpy(penalty: float) -> None:
    searching = program(penalty)
    thought = np.random.default_rng(0).normal(size=(4, WORDS))
    result = searching.inference(thought=thought)
    assert result["words"].shape == (4, WIDTH, STEPS)
    own = {name.rpartition("gru_cell/")[2]: searching.parameters[name] for name in searching.parameters}
    for row in range(4):
        for place, (score, words) in enumerate(searched(own, own["table"], thought[row], penalty)):
            assert result["words"][row, place].tolist() == words + [END] * (STEPS - len(words))
            assert result["lengths"][row, place] == len(words)
            assert result["scores"][row, place] == pytest.approx(score, rel=1e-12)


def test_rows_are_searched_alone() -> None:
    searching = program(0.5)
    thought = np.random.default_rng(1).normal(size=(3, WORDS))
    together = searching.inference(thought=thought)
    for row in range(3):
        alone = searching.inference(thought=thought[row : row + 1])
        for name, array in alone.items():
            np.testing.assert_array_equal(array[0], together[name][row])


def test_the_best_hypothesis_is_at_least_as_likely_as_the_greedy_one() -> None:
    table = rg.parameter("table", (WORDS, 4), dtype="float64")
    thought = rg.placeholder("thought", (None, WORDS), dtype="float64")
    cell = rg.shared(rg.GRUCell(WORDS))
    best = rg.dynamic_decode(
        cell,
        table[1],
        lambda words, _: rg.gather(table, words),
        STEPS,
        initial_state=thought,
        beam=rg.Beam(WORDS, END),
    )
    scores, _, lengths = rg.dynamic_decode(
        cell,
        table[1],
        lambda scores, _: rg.gather(table, rg.argmax(scores)),
        STEPS,
        initial_state=thought,
        stop=lambda scores: rg.equal(rg.argmax(scores), END),
    )
    compiled = rg.compile({"best": best.scores, "scores": scores, "lengths": lengths})
    draw = np.random.default_rng(7)
    for name in compiled.parameters:
        compiled.parameters[name] = draw.normal(size=compiled.parameters[name].shape) * 2
    result = compiled.inference(thought=draw.normal(size=(20, WORDS)))
    chosen = result["scores"].max(2) - np.log(np.exp(result["scores"]).sum(2))
    greedy = [row[:length].sum() for row, length in zip(chosen, result["lengths"], strict=True)]
    assert (result["best"][:, 0] >= np.array(greedy) - 1e-12).all()
    assert (result["best"][:, 0] > np.array(greedy) + 1e-3).any()


def test_options_that_a_search_rejects() -> None:
    table = rg.parameter("table", (WORDS, 4))
    first = rg.placeholder("first", (None, 4))

    def decode(cell: Any = None, start: Any = None, **options: Any) -> Any:
        return rg.dynamic_decode(
            cell or rg.GRUCell(WORDS),
            first if start is None else start,
            lambda words, _: rg.gather(table, words),
            STEPS,
            **options,
        )

    with pytest.raises(rg.ArgumentError, match="takes no stop"):
        decode(beam=rg.Beam(2, END), stop=lambda scores: rg.equal(rg.argmax(scores), END))
    with pytest.raises(rg.ShapeError, match="number of rows"):
        decode(start=table[1], beam=rg.Beam(2, END))
    with pytest.raises(rg.ShapeError, match="needs a score for each of at least"):
        decode(beam=rg.Beam(9, END))
    with pytest.raises(rg.ArgumentError, match="attends to a memory"):
        decode(beam=rg.Beam(2, END, coverage_penalty=0.1))
    with pytest.raises(rg.DtypeError, match=r"rg\.Beam"):
        decode(beam=3)
