"""Position of a fit, and state from which another call resumes an interrupted fit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...batching.sources import Cursor
from ...program.program import Program
from ...support.errors import CallError, Where
from .history import History
from .padding_check import PaddingCheck


@dataclass
class Position:
    """Position of a fit, as stored in a checkpoint.

    Args:
        first: Epoch of the trainer at which the fit began, from 0.
        epoch: Present epoch of the trainer, from 0.
        data: Options and counts of examples that must be equal to resume the fit, by name.
        batch: Index of the next batch of this epoch.
        window: Index of the next window of that batch.
        warmed: True once the warm-up of that batch is done.
        loss: Weighted sum of the losses of this epoch so far.
        weight: Sum of the weights of these losses.
        seconds: Seconds of this epoch so far.
        waited: Number of epochs since the best epoch.
        best_value: Value of the best epoch so far; None before the first.
        calling: Index of the next callback to call for the last epoch; None if all have been called.
        stopping: True if no epoch follows.
        done: True once the fit has ended.
        best: Parameters of the best epoch so far; empty if they are not kept.
        history: Measurements so far.
    """

    first: int
    epoch: int
    data: dict[str, Any]
    batch: int = 0
    window: int = 0
    warmed: bool = False
    loss: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0
    waited: int = 0
    best_value: float | None = None
    calling: int | None = None
    stopping: bool = False
    done: bool = False
    best: dict[str, np.ndarray] = field(default_factory=dict)
    history: History = field(default_factory=History)

    @property
    def begun(self) -> bool:
        """True if any step was taken."""
        return self.epoch > self.first or self.batch > 0 or self.window > 0 or self.warmed

    def numbers(self) -> dict[str, Any]:
        """Return {field: value} of all fields that JSON can store: those except ``best`` and ``history``."""
        return {name: value for name, value in vars(self).items() if name not in ("best", "history")}


@dataclass
class FitSession:
    """State from which another call of ``fit`` may continue.

    Args:
        position: Position of the last fit; None before the first.
        cursor: Place of an interrupted fit in an iterable of batches; None for none.
        running: (Process, line) of a call that has not returned; None for none.
    """

    position: Position | None = None
    cursor: Cursor | None = None
    running: tuple[int, str] | None = None
    _padding: PaddingCheck | None = None

    @contextmanager
    def alone(self, where: Where | None) -> Iterator[None]:
        """Context manager of a call of ``fit``, which only one call at a time can enter.

        Raise ``CallError`` if another call is running, such as one in another thread or around a callback.
        """
        process = os.getpid()  # a forked child has a copy of ``running``, but not the thread
        if self.running is not None and self.running[0] == process:
            raise CallError(
                f"fit of this trainer is still running, called at {self.running[1]}; call fit when that has returned, "
                "use trainer.step in a callback, or fit another rg.Trainer",
                where,
            )
        self.running = process, str(where) if where is not None else "another place"
        try:
            yield
        finally:
            self.running = None

    def padding_check(self, program: Program, where: Where | None) -> PaddingCheck:
        """Return the check that padding does not change the program's loss. All fits share it, to check only once."""
        if self._padding is None:
            self._padding = PaddingCheck(program, program.evaluation, {"loss": "the loss"}, where)
        self._padding.where = where
        return self._padding
