"""Return values of callbacks, and functions that callbacks may call during a fit."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

GENERATOR = np.random.default_rng(0)
DATA = {"x": GENERATOR.normal(size=(8, 3)).astype(np.float32), "y": np.ones((8, 1), np.float32)}
HERE = r"test_callbacks\.py:\d+: "


def trainer() -> rg.Trainer:
    x, y = rg.placeholder("x", (None, 3)), rg.placeholder("y", (None, 1))
    result = rg.dense(x, 1)
    return rg.Trainer(rg.compile(result, loss=rg.reduce_mean(rg.square(y - result))))


def fit(trainer: rg.Trainer, *callbacks: Any, epochs: int = 3) -> rg.History:
    return trainer.fit(DATA, epochs=epochs, progress=False, callbacks=callbacks)


@pytest.mark.parametrize("answer", [None, False, np.bool_(False)])
def test_a_fit_continues_after_none_and_false(answer: Any) -> None:
    assert len(fit(trainer(), lambda trainer, row: answer)["loss"]) == 3


@pytest.mark.parametrize("answer", [True, np.bool_(True)])
def test_true_stops_a_fit(answer: Any) -> None:
    assert len(fit(trainer(), lambda trainer, row: answer)["loss"]) == 1


@pytest.mark.parametrize("answer", [np.zeros(3), np.zeros(1), np.array(True), 0.5, 1, 0, "no", [], {"a": 1}])
def test_another_answer_is_an_error_with_the_line(answer: Any) -> None:
    subject = trainer()
    wanted = f"{HERE}a callback returns .*, which is neither .*; return True to stop the fit, else False or nothing$"
    with pytest.raises(rg.DtypeError, match=wanted):
        fit(subject, lambda trainer, row: answer)
    assert subject.epochs == 1
    assert len(fit(subject)["loss"]) == 3  # the interrupted fit can be repeated


def test_a_fit_within_a_fit_is_an_error() -> None:
    subject, other = trainer(), trainer()
    wanted = f"{HERE}fit of this trainer is still running, called at .*{HERE[:-2]}; call fit when that has returned"
    with pytest.raises(rg.CallError, match=wanted):
        fit(subject, lambda trainer, row: fit(trainer))
    assert len(fit(subject)["loss"]) == 3
    with pytest.raises(rg.CallError, match="is still running"):
        subject.fit(DATA, progress=False, metrics={"again": lambda result, feeds: fit(subject)["loss"][-1]})
    # another trainer's fit is allowed
    assert len(fit(subject, lambda trainer, row: len(fit(other, epochs=1)["loss"]) > 1)["loss"]) == 3
    assert other.epochs == 3


def test_a_fit_in_another_thread_is_an_error() -> None:
    subject = trainer()
    errors: list[BaseException] = []

    def again() -> None:
        try:
            fit(subject)
        except rg.CallError as error:
            errors.append(error)

    def meanwhile(trainer: rg.Trainer, row: dict[str, float]) -> None:
        thread = threading.Thread(target=again)
        thread.start()
        thread.join()

    fit(subject, meanwhile)
    assert len(errors) == 3


def test_steps_and_measurements_in_a_callback_count() -> None:
    subject = trainer()

    def more(trainer: rg.Trainer, row: dict[str, float]) -> None:
        trainer.step(DATA)
        assert np.isfinite(trainer.evaluate(DATA)["loss"])

    fit(subject, more)
    assert subject.updates == 6
