"""Position of a fit, and state that outlives an interrupted fit."""

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
        first: Epoch of the trainer at which the fit began.
        epoch: Present epoch of the trainer.
        data: Values that must be the same to resume.
        batch: Next batch of this epoch.
        window: Next window of that batch.
        warmed: True once the batch's warm-up is done.
        loss: Weighted sum of the losses of this epoch so far.
        weight: Sum of the weights of these losses.
        seconds: Seconds of this epoch so far.
        waited: Epochs since the best epoch.
        best_value: Best value so far.
        calling: Index of the next callback of the last epoch; None: all were called.
        stopping: True if no epoch follows.
        done: True once the fit has ended.
        best: Best parameters.
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
        """Return all fields except arrays and history, for JSON."""
        return {name: value for name, value in vars(self).items() if name not in ("best", "history")}


@dataclass
class FitSession:
    """State from which another call of ``fit`` may continue.

    Args:
        position: Position of the last fit.
        cursor: Place of an interrupted fit in an iterable of batches.
        running: Process and line of the call that has not returned.
    """

    position: Position | None = None
    cursor: Cursor | None = None
    running: tuple[int, str] | None = None
    _padding: PaddingCheck | None = None

    @contextmanager
    def alone(self, where: Where | None) -> Iterator[None]:
        """Raise ``CallError`` if another call of ``fit`` is running, such as in a callback or another thread."""
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
        """Return the padding check of the program's loss. All fits share it, so that each clock is checked once."""
        if self._padding is None:
            self._padding = PaddingCheck(program, program.evaluation, {"loss": "the loss"}, where)
        self._padding.where = where
        return self._padding
