"""Callbacks of ``fit``: any iterable of functions, and errors for other frameworks' callbacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from training import compiled_once, data, network

import rnngraph as rg


@pytest.fixture(autouse=True)
def _compiled_once() -> Any:
    with compiled_once():
        yield


class EarlyStopping:
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        pass


class Watcher(EarlyStopping):
    pass


def test_callbacks_may_be_any_iterable_of_functions() -> None:
    seen: list[float] = []
    trainer = rg.Trainer(network())

    def note(trainer: rg.Trainer, row: dict[str, float]) -> None:
        seen.append(row["epoch"])

    for callbacks in ([note], (note,), iter([note])):
        trainer.fit(data(), callbacks=callbacks, progress=False)  # type: ignore[arg-type]
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        ([EarlyStopping()], "callback 0 is .*EarlyStopping.*; patience= of the fit of an rg.Trainer"),
        ([Watcher()], r"callback 0 is .*Watcher.*; write a function of \(trainer, row\)"),
        ([None], r"callback 0 is None; give functions of \(trainer, row\)"),
        (print, r"callbacks=.* must be a list of functions of \(trainer, row\)"),
        ("early", r"callbacks='early' must be a list of functions of \(trainer, row\)"),
        ({"a": 1}, "callbacks=.* must be a list of functions"),
    ],
    ids=["known", "another", "none", "alone", "text", "mapping"],
)
def test_others_are_answered(callbacks: Any, words: str) -> None:
    with pytest.raises(rg.DtypeError, match=f"test_callback_list.py:[0-9]+: {words}"):
        rg.Trainer(network()).fit(data(), callbacks=callbacks, progress=False)


def test_sequences_of_different_lengths_are_errors_with_the_declaration_to_write() -> None:
    x = [np.ones((3, 3)), np.ones((5, 3))]
    words = r"declare a placeholder n .* give it to dynamic_rnn as sequence_length, and to a loss with a label"
    with pytest.raises(rg.ShapeError, match=words):
        rg.Trainer(network()).fit({"x": x, "y": [np.ones((3, 2)), np.ones((5, 2))]}, progress=False)
