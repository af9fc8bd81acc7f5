"""``ReduceOnPlateau``: Keras's arithmetic, in fits and in checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from training import compiled_once, copies, data, network, same

import rnngraph as rg
from rnngraph.training.optimization.schedules import schedule_from, schedule_text


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


class StopError(Exception):
    """Error that ends a process."""


def keras(
    rate: float,
    values: list[float],
    factor: float,
    patience: int,
    mode: str,
    min_delta: float,
    cooldown: int,
    final: float,
) -> list[float]:
    """Return the rates after each epoch that ``tf.keras.callbacks.ReduceLROnPlateau.on_epoch_end`` of 2.15 sets."""
    best = math.inf if mode == "min" else -math.inf
    wait = resting = 0
    rates = []
    for value in values:
        if resting > 0:
            resting -= 1
            wait = 0
        if value < best - min_delta if mode == "min" else value > best + min_delta:
            best, wait = value, 0
        elif not resting > 0:
            wait += 1
            if wait >= patience and rate > final:
                rate = max(rate * factor, final)
                resting, wait = cooldown, 0
        rates.append(rate)
    return rates


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([1.0, 0.95, 0.5, 2.0, 3.0, math.nan]), max_size=20),
    st.sampled_from([0.5, 0.1]),
    st.integers(1, 3),
    st.sampled_from(["min", "max"]),
    st.sampled_from([0.0, 0.1]),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.01]),
)
def test_rates_are_those_of_keras(
    values: list[float], factor: float, patience: int, mode: str, min_delta: float, cooldown: int, final: float
) -> None:
    schedule = rg.ReduceOnPlateau(0.1, factor, patience, mode=mode, min_delta=min_delta, cooldown=cooldown, final=final)
    rates = []
    for value in values:
        schedule = schedule_from(schedule_text(schedule.measured(value)))  # in a checkpoint, too
        rates.append(schedule(len(rates)))
    assert rates == keras(0.1, values, factor, patience, mode, min_delta, cooldown, final)


def scripted(values: list[float]) -> dict[str, Any]:
    """Return a metric whose values are given, one for each epoch."""
    left = iter(values)
    return {"scripted": lambda result, feeds: next(left)}


def test_a_fit_reduces_its_rate_between_epochs() -> None:
    trainer = rg.Trainer(network(), rg.SGD(rg.ReduceOnPlateau(0.5, 0.5, 2, monitor="scripted", cooldown=1)))
    history = trainer.fit(data(4), epochs=8, metrics=scripted([3, 2, 2, 2, 2, 2, 2, 1.5]), progress=False)
    assert_array_equal(history["learning_rate"], [0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125])
    assert trainer.learning_rate == 0.125


def test_the_validation_loss_is_monitored_or_else_the_loss() -> None:
    for options, column in (({"validation": data(3, seed=1)}, "validation_loss"), ({}, "loss")):
        trainer = rg.Trainer(network(), rg.SGD(rg.WarmUp(2, rg.ReduceOnPlateau(0.1, min_delta=1e9, patience=1))))
        history = trainer.fit(data(4), epochs=2, keep_best=False, progress=False, **options)
        schedule = trainer.optimizer.learning_rate
        assert isinstance(schedule, rg.WarmUp)
        assert isinstance(schedule.after, rg.ReduceOnPlateau)
        assert schedule.after.best == history[column][0]
        assert trainer.learning_rate == pytest.approx(0.01)


@pytest.mark.parametrize("epoch", [2, 4])
def test_a_fit_continues_bit_for_bit(epoch: int, tmp_path: Path) -> None:
    def trainer() -> rg.Trainer:
        schedule = rg.WarmUp(2, rg.ReduceOnPlateau(0.2, 0.5, 1, min_delta=0.3, cooldown=1))
        return rg.Trainer(network(keep_prob=0.5), rg.Adam(schedule))

    def stop(trainer: rg.Trainer, row: Any) -> None:
        if row["epoch"] == epoch:
            raise StopError

    options: dict[str, Any] = {"validation": 0.25, "batch_size": 2, "epochs": 6, "progress": False}
    whole = trainer()
    expected = whole.fit(data(8), **options)
    assert len(set(expected["learning_rate"])) > 2
    subject = trainer()
    with pytest.raises(StopError):
        subject.fit(data(8), callbacks=[stop], checkpoint=tmp_path / "a", checkpoint_every=1, **options)
    subject.save(tmp_path / "a")
    restored = rg.Trainer.load(tmp_path / "a", network(keep_prob=0.5, seed=3))
    actual = restored.fit(data(8), **options)
    for column in ("loss", "validation_loss", "learning_rate"):
        assert_array_equal(actual[column], expected[column])
    same(
        copies({**restored.program.parameters, **restored.state.slots}),
        copies({**whole.program.parameters, **whole.state.slots}),
    )
    assert restored.optimizer == whole.optimizer


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ((0,), rg.ArgumentError, "initial=0 must be a positive number"),
        ((0.1, 1.0), rg.ArgumentError, "factor=1.0 must be below 1"),
        ((0.1, 0.5, 0), rg.ArgumentError, "patience must be at least 1"),
        ((0.1, 0.5, 2, 3), rg.DtypeError, "monitor=3 must be the name"),
        ((0.1, 0.5, 2, None, "least"), rg.ArgumentError, "mode='least' is not offered; use one of min, max"),
        ((0.1, 0.5, 2, None, "min", -1), rg.ArgumentError, "min_delta=-1 must be"),
        ((0.1, 0.5, 2, None, "min", 0, 1.5), rg.DtypeError, "cooldown must be an int"),
        ((0.1, 0.5, 2, None, "min", 0, 1, -1), rg.ArgumentError, "final=-1 must be"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=rf"test_schedules\.py:\d+: {text}"):
        rg.ReduceOnPlateau(*arguments)


def test_a_column_that_is_not_measured_can_not_be_monitored() -> None:
    trainer = rg.Trainer(network(), rg.SGD(rg.ReduceOnPlateau(0.1, monitor="accuracy")))
    with pytest.raises(rg.NameLookupError, match="monitor of the ReduceOnPlateau='accuracy' is not measured; there"):
        trainer.fit(data(4), progress=False)
    assert trainer.step(data(4)) > 0  # single steps need no measurement
