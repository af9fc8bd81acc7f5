"""Prune: the smallest blocks become zero on a schedule, remain so, and checkpoints resume with equal bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnngraph as rg

UNITS, WIDTH, ROWS = 25, 7, 5


def declared() -> rg.Program:
    x, y = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("y", (None, 3))
    _, state = rg.dynamic_rnn(rg.BasicLSTMCell(UNITS), x)
    predicted = rg.dense(state.h, 3)
    return rg.compile({"predicted": predicted}, rg.mean_squared_error(y, predicted), seed=1)


def batch(step: int) -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(step)
    return {"x": numbers.normal(size=(ROWS, 4, WIDTH)), "y": numbers.normal(size=(ROWS, 3))}


def blocks_left(matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return np.array(
        [
            [matrix[a : a + rows, b : b + columns].any() for b in range(0, matrix.shape[1], columns)]
            for a in range(0, matrix.shape[0], rows)
        ]
    )


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"shards": 2}])
def test_blocks_are_removed_by_the_cubic_and_stay_zero(options: dict[str, Any]) -> None:
    program = declared()
    trainer = rg.Trainer(program, rg.Adam(1e-2), prune=rg.Prune(0.2, (8, 4), begin=1, end=5), **options)
    name = "rnn/basic_lstm_cell/kernel"
    before, update = np.ones((4, 25), np.bool_), 0
    for step in range(8 * trainer.accumulate):
        weights = program.parameters[name].copy()
        trainer.step(batch(step))
        if trainer.updates == update:
            continue
        left = blocks_left(program.parameters[name], 8, 4)
        share = 1 if update < 1 else 0.2 if update >= 5 else 0.2 + 0.8 * (1 - (update - 1) / 4) ** 3
        assert left.sum() == min(before.sum(), round(share * 100))
        assert not (left & ~before).any()
        if (before & ~left).any() and not options:  # the smallest blocks were removed, up to the change of one update
            size = np.array(
                [[np.square(weights[8 * a : 8 * a + 8, 4 * b : 4 * b + 4]).sum() for b in range(25)] for a in range(4)]
            )
            assert size[before & ~left].max() < 1.5 * size[left].min()
        before, update = left, update + 1
    assert update == 8
    dense = program.parameters["dense/kernel"]
    assert np.count_nonzero(blocks_left(dense, 8, 4)) == round(0.2 * 4)


def test_a_diagonal_fits_a_pruned_matrix() -> None:
    with pytest.raises(rg.ArgumentError, match=r"diagonal=97 fits no pruned matrix.*rnn/"):
        rg.Trainer(declared(), prune=rg.Prune(0.5, only="rnn/*", diagonal=97))


def test_only_named_matrices_are_pruned_and_a_diagonal_stays() -> None:
    program = declared()
    prune = rg.Prune(0.0, (5, 5), end=0, only="rnn/*", diagonal=UNITS)
    rg.Trainer(program, rg.SGD(0.1), prune=prune).step(batch(0))
    kernel = program.parameters["rnn/basic_lstm_cell/kernel"]
    expected = np.zeros_like(kernel, np.bool_)
    expected[WIDTH + np.tile(np.arange(UNITS), 4), np.arange(4 * UNITS)] = True
    assert_array_equal(kernel != 0, expected)
    assert (program.parameters["dense/kernel"] != 0).all()


def test_a_checkpoint_continues_bit_for_bit(tmp_path: Path) -> None:
    program, second = declared(), declared()
    prune = rg.Prune(0.3, (3, 2), begin=1, end=9, only=["rnn/*", "dense/*"])
    trainer = rg.Trainer(program, prune=prune)
    for step in range(4):
        trainer.step(batch(step))
    trainer.save(tmp_path / "trainer")
    other = rg.Trainer.load(tmp_path / "trainer", second)
    assert other.prune == prune
    for step in range(4, 12):
        assert trainer.step(batch(step)) == other.step(batch(step))
    for name, array in program.parameters.items():
        assert_array_equal(second.parameters[name], array)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: rg.Prune(1.5), "density"),
        (lambda: rg.Prune(0.5, 8), "block"),
        (lambda: rg.Prune(0.5, (8, 0)), "block"),
        (lambda: rg.Prune(0.5, begin=5, end=2), "end=2 comes before"),
        (lambda: rg.Prune(0.5, only=3), "only"),
        (lambda: rg.Trainer(declared(), prune=0.5), "rg.Prune"),
        (lambda: rg.Trainer(declared(), prune=rg.Prune(0.5, only="lstm")), "names no trained matrix"),
    ],
)
def test_mistakes_are_errors(make: Any, text: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=text):
        make()
