"""How far a fit has come, and what outlives one that is interrupted."""

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
    """How far a fit has come: what a checkpoint holds of it.

    first, epoch: epochs of the trainer, when the fit began and now. data: what must be the same for the rest.
    batch, window: the next of this epoch; warmed: whether the batch's warm-up is done. loss, weight, seconds: of
    this epoch so far. waited: epochs since the best. calling: which callback is to be called next for the epoch
    before; None: all were. stopping: whether no epoch follows; done: whether the fit has come to its end.
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
        """Whether anything was trained."""
        return self.epoch > self.first or self.batch > 0 or self.window > 0 or self.warmed

    def numbers(self) -> dict[str, Any]:
        """All but arrays and history, as JSON takes it."""
        return {name: value for name, value in vars(self).items() if name not in ("best", "history")}


@dataclass
class FitSession:
    """What another call of ``fit`` goes on from.

    cursor: where an interrupted one is in an iterable of batches. running: the line of the call that has not returned.
    """

    position: Position | None = None
    cursor: Cursor | None = None
    running: tuple[int, str] | None = None
    _padding: PaddingCheck | None = None

    @contextmanager
    def alone(self, where: Where | None) -> Iterator[None]:
        """Raise ``CallError`` where another call of ``fit`` has not returned, as in a callback or in another thread."""
        process = os.getpid()  # a child that was forked during a call of another thread may call, too
        if self.running is not None and self.running[0] == process:
            raise CallError(
                f"fit of this trainer is still running, called at {self.running[1]}; call fit when that has returned, "
                "take trainer.step in a callback, or fit another rg.Trainer",
                where,
            )
        self.running = process, str(where) if where is not None else "another place"
        try:
            yield
        finally:
            self.running = None

    def padding_check(self, program: Program, where: Where | None) -> PaddingCheck:
        """Return the check of the program's loss, which settles each clock once."""
        if self._padding is None:
            self._padding = PaddingCheck(program, program.evaluation, {"loss": "the loss"}, where)
        self._padding.where = where
        return self._padding
