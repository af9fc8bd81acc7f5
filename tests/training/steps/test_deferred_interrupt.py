"""After Ctrl-C anywhere in a fit, the next fit continues with the bits of an uninterrupted one."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from training import compiled_once, copies, data, network, same

import rnngraph as rg
from rnngraph.training.steps.deferred_interrupt import DeferredInterrupt

ROOMS = tuple(os.path.join(os.path.dirname(rg.__file__), room, "") for room in ("runtime", "program", "training"))


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore SIGINT
    with compiled_once():
        yield
    signal.signal(signal.SIGINT, before)


class Interruption:
    """Profiler that sends SIGINT at the ``number``-th event in ``runtime``, or counts events if None.

    An event is a call of a Python function or the return of a C function, because Python handles signals there.
    """

    def __init__(self, number: int | None) -> None:
        self.number, self.count = number, 0

    def _seen(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(ROOMS):
            self.count += 1
            if self.count == self.number:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)

    def __enter__(self) -> Interruption:
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)


def small_program() -> rg.Program:
    return network(lambda: rg.BasicRNNCell(3), keep_prob=0.5, lengths=True)


class Halved:
    """Callback that changes the trainer: the rate is reduced after two epochs."""

    def __init__(self) -> None:
        self.rows: list[float] = []

    def __call__(self, trainer: rg.Trainer, row: Any) -> bool:
        if row["epoch"] == 2:
            trainer.learning_rate = 0.01
        self.rows.append(row["epoch"])
        return row["epoch"] == 3


FITS: dict[str, dict[str, Any]] = {
    "whole": {"batch_size": 2, "epochs": 2},
    "windows": {"batch_size": 3, "window": 2, "warm_up": 1, "epochs": 2},
    "best": {"batch_size": 4, "patience": 1, "validation": 0.3, "window": 4, "epochs": 9},
    "stopped": {"batch_size": 4, "epochs": 5, "callbacks": "halved"},
}
TRAINERS: dict[str, Callable[[], rg.Trainer]] = {
    "adam": lambda: rg.Trainer(small_program(), rg.Adam(0.3), clip_norm=0.3),
    "accumulate": lambda: rg.Trainer(small_program(), rg.SGD(0.5, 0.9), accumulate=2),
}


def examples() -> dict[str, Any]:
    return data(7) | {"n": np.array([6, 1, 3, 3, 2, 6, 5])}


def fitted(trainer: rg.Trainer, fit: str, path: Path) -> rg.History:
    options = {name: [Halved()] if value == "halved" else value for name, value in FITS[fit].items()}
    return trainer.fit(examples(), progress=False, checkpoint=path, **options)


def everything(trainer: rg.Trainer, history: rg.History) -> dict[str, np.ndarray]:
    """Return all state that an interruption must not change, including the next seed."""
    counts = [
        trainer.updates,
        trainer.skipped,
        trainer.state.pending,
        trainer.epochs,
        trainer.program.parts.seeds.draw(),
    ]
    columns = {f"history/{name}": history[name] for name in history if name != "seconds"}
    arrays = {**trainer.program.parameters, **trainer.state.slots, **trainer.state.sums, **columns}
    return copies(arrays) | {"counts": np.array(counts), "stopped": np.array(history.stopped)}


def interrupted(trainer: rg.Trainer, fit: str, path: Path, number: int) -> bool:
    """Return True if the signal arrived before the end of the fit."""
    before = signal.getsignal(signal.SIGINT)
    try:
        with Interruption(number):
            fitted(trainer, fit, path)
    except KeyboardInterrupt:
        return True
    finally:
        assert signal.getsignal(signal.SIGINT) is before
    return False


WHOLE: dict[tuple[str, str], tuple[dict[str, np.ndarray], int]] = {}


def whole(kind: str, fit: str, path: Path) -> tuple[dict[str, np.ndarray], int]:
    """Return the results of an uninterrupted fit, and its number of events."""
    if (kind, fit) not in WHOLE:
        fitted(TRAINERS[kind](), fit, path)
        path.unlink()
        trainer = TRAINERS[kind]()
        with Interruption(None) as places:
            history = fitted(trainer, fit, path)
        WHOLE[kind, fit] = everything(trainer, history), places.count
    return WHOLE[kind, fit]


def check(kind: str, fit: str, path: Path, share: float, later: bool) -> None:
    """Interrupt and resume a fit. ``share`` is the signal's position, from 0 to 1; ``later`` resumes from a file."""
    wanted, count = whole(kind, fit, path)
    path.unlink(missing_ok=True)
    trainer = TRAINERS[kind]()
    assert interrupted(trainer, fit, path, int(share * count))
    if later:
        trainer.save(path)
        program = small_program()
        program.parts.seeds.draw()
        trainer = rg.Trainer.load(path, program)
    history = fitted(trainer, fit, path)
    same(everything(trainer, history), wanted)


GENERATOR = random.Random(0)
CASES = [
    (kind, fit, round((number + GENERATOR.random()) / 2, 5), bool(number % 2))
    for kind in TRAINERS
    for fit in FITS
    for number in range(2)
]
OFTEN = [case for place, case in enumerate(CASES) if place % 8 == 3]  # some of each kind
SELDOM = [pytest.param(*case, marks=pytest.mark.exhaustive) for case in CASES if case not in OFTEN]


@pytest.mark.parametrize(("kind", "fit", "share", "later"), [*OFTEN, *SELDOM])
def test_a_fit_continues_after_ctrl_c(kind: str, fit: str, share: float, later: bool, tmp_path: Path) -> None:
    check(kind, fit, tmp_path / "a", share, later)


@pytest.mark.exhaustive
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("kind", TRAINERS)
def test_a_fit_continues_after_ctrl_c_anywhere(kind: str, fit: str, tmp_path: Path) -> None:
    """After Ctrl-C at a random event, often near the end, the next fit continues with equal bits."""
    generator = random.Random(1)
    for number in range(150):
        share = 1 - generator.random() * (0.02 if number % 3 == 0 else 1)
        check(kind, fit, tmp_path / "a", min(share, 0.9999), number % 2 == 0)


# Callbacks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("later", [False, True])
def test_ctrl_c_in_a_callback(at: int, later: bool, tmp_path: Path) -> None:
    """After Ctrl-C in a callback, the best weights are restored, and callbacks see each epoch, including the last."""
    options: dict[str, Any] = {"batch_size": 3, "patience": 1, "epochs": 5, "progress": False, "shuffle": False}
    losses = {1: 1.0, 2: 0.5, 3: 0.4, 4: 0.6}
    epochs: list[float] = []

    def measured(result: Any, feeds: Any) -> float:
        return losses[trainer.epochs + 1]

    def seen(trainer: rg.Trainer, row: Any) -> None:
        if row["epoch"] == at and not cut:
            cut.append(True)
            raise KeyboardInterrupt
        epochs.append(row["epoch"])

    def run() -> rg.History:
        return trainer.fit(
            data(7), metrics={"measured": measured}, monitor="measured", keep_best=True, callbacks=[seen], **options
        )

    cut = [True]
    trainer = rg.Trainer(network(keep_prob=0.5), rg.Adam(0.1))
    wanted = everything(trainer, run())
    assert epochs == [1, 2, 3, 4]
    epochs.clear()
    cut.clear()
    trainer = rg.Trainer(network(keep_prob=0.5), rg.Adam(0.1))
    if at <= 4:
        with pytest.raises(KeyboardInterrupt):
            run()
        if later:
            trainer.save(tmp_path / "a")
            trainer = rg.Trainer.load(tmp_path / "a", network(keep_prob=0.5))
    same(everything(trainer, run()), wanted)
    assert epochs == [1, 2, 3, 4]


def test_later_callbacks_receive_no_past_interrupts() -> None:
    trainer = rg.Trainer(network(), rg.Adam(0.1))

    def cut(trainer: rg.Trainer, row: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(data(), progress=False, epochs=3, callbacks=[lambda trainer, row: None, cut])
    first: list[float] = []
    second: list[float] = []
    trainer.fit(
        data(),
        progress=False,
        epochs=3,
        callbacks=[lambda trainer, row: first.append(row["epoch"]), lambda trainer, row: second.append(row["epoch"])],
    )
    assert (first, second) == ([2, 3], [1, 2, 3])


# Moments ------------------------------------------------------------------------------------------


@pytest.fixture
def interrupt() -> Iterator[DeferredInterrupt]:
    context = DeferredInterrupt()
    context.watch()
    yield context
    context.release()


def test_a_moment_puts_ctrl_c_off(interrupt: DeferredInterrupt) -> None:
    done = []

    def run() -> None:
        with interrupt:
            with interrupt:
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")
        done.append("never")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_ctrl_c_is_deferred_until_it_is_checked(interrupt: DeferredInterrupt) -> None:
    with interrupt.deferred():
        assert interrupt.due() is None
        signal.raise_signal(signal.SIGINT)
        assert isinstance(interrupt.due(), KeyboardInterrupt)
        assert interrupt.due() is None
        interrupt.watch()
        with pytest.raises(KeyboardInterrupt), interrupt.let_through():
            signal.raise_signal(signal.SIGINT)
    interrupt.watch()
    done = []

    def run() -> None:
        with interrupt.deferred():
            with interrupt:
                signal.raise_signal(signal.SIGINT)
            done.append("behind what changes as one")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done


def test_handlers_of_the_users_own_stay() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    mine = signal.getsignal(signal.SIGINT)
    try:
        interrupt = DeferredInterrupt()
        for _ in range(2):
            came.clear()
            interrupt.watch()
            with interrupt:
                signal.raise_signal(signal.SIGINT)
                assert came == []
            signal.raise_signal(signal.SIGINT)
            assert came == [signal.SIGINT] * 2
            interrupt.release()
            assert signal.getsignal(signal.SIGINT) is mine
        interrupt.watch()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupt.release()
        interrupt.watch()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_fits_run_in_any_thread() -> None:
    trainer = rg.Trainer(network(), rg.Adam(0.1))
    histories: list[rg.History] = []
    thread = threading.Thread(target=lambda: histories.append(trainer.fit(data(), progress=False, epochs=2)))
    thread.start()
    thread.join()
    assert histories[0].epochs == 2
