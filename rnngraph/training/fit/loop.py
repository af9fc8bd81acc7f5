"""Loop of ``fit``: epochs over examples, with validation, early stopping and checkpoints."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ...batching.batches import Batch
from ...batching.sources import BatchSource
from ...runtime.calls.non_finite import NonFinite
from ...support.errors import ArgumentError, DtypeError, NonFiniteError, RnnGraphError, Where, shown
from ...support.forks import give_way
from ..optimization.schedules import Schedule, plateau_of
from ..ranks.ranks import Ranks
from ..ranks.start import take_changes
from ..steps.stepper import StepForm, Stepper
from .evaluation import Evaluation
from .history import VALIDATION, History, default_monitor
from .padding_check import PaddingCheck
from .position import Position
from .progress import FitProgress

MAX_EXAMPLES_SHOWN = 8
"""Maximum positions of examples that an error lists."""

EpochHook = Callable[[dict[str, float]], Any]
"""Function of an epoch's row of the history. It returns True to stop the fit."""


@dataclass(frozen=True)
class EarlyStopping:
    """Rule for ending a fit early, and for the parameters that remain.

    Attributes:
        monitor: Column of the history that is compared.
        mode: ``"min"`` if the smallest value of the column is the best, ``"max"`` if the largest is.
        patience: Epochs without improvement after which the fit ends; None to run all epochs.
        keep_best: Restore the parameters of the best epoch at the end.
    """

    monitor: str
    mode: str
    patience: int | None
    keep_best: bool


@dataclass(frozen=True)
class Checkpoints:
    """Rule for saving checkpoints during a fit.

    Attributes:
        save: Function that writes a checkpoint, called after each epoch; None for no checkpoints.
        every: Number of updates between further checkpoints within an epoch; None for none.
    """

    save: Callable[[], None] | None
    every: int | None


@dataclass(frozen=True)
class Plan:
    """Validated arguments of a call of ``fit``.

    Attributes:
        source: Batches to train on.
        epochs: Number of epochs.
        evaluation: Measurement after each epoch; None for none.
        validates: True if ``evaluation`` measures validation examples, False if it measures ``source``.
        stopping: Rule for early stopping.
        callbacks: Functions that are called after each epoch.
        checkpoints: Rule for saving checkpoints.
        warm_up: Number of steps of time at the start of each batch that only compute states.
        label_weights: Weight of each class in the loss; empty for none.
        progress: True to show progress.
        padding: Check of each batch.
        where: The user's call.
    """

    source: BatchSource
    epochs: int
    evaluation: Evaluation | None
    validates: bool
    stopping: EarlyStopping
    callbacks: Sequence[EpochHook]
    checkpoints: Checkpoints
    warm_up: int
    label_weights: tuple[float, ...]
    progress: bool
    padding: PaddingCheck
    where: Where | None


class Fit:
    """One fit, from its position to its end.

    An exception, such as a Ctrl-C, may end it at any time. Parameters, position and related state change together, so
    that another fit from the position has the same result as an uninterrupted one.
    """

    def __init__(self, stepper: Stepper, plan: Plan, position: Position, ranks: Ranks) -> None:
        self.stepper, self.state, self.plan, self.position = stepper, stepper.state, plan, position
        self.ranks = ranks
        self._began = time.perf_counter() - position.seconds

    def run(self) -> History:
        """Run the fit to its end, and return the history."""
        try:
            self.state.interrupt.watch()
            with self.ranks.all_along():
                self._run()
        except BaseException:
            self.position.done = False  # it is True if the exception came while the last checkpoint was written
            self.position.seconds = time.perf_counter() - self._began
            raise
        finally:
            self.state.interrupt.release()
        return self.position.history

    def _run(self) -> None:
        """Run the epochs and callbacks that the position has not passed. Restore the best parameters if asked for."""
        plan, position = self.plan, self.position
        last = position.first + plan.epochs
        notices = self.state.program.options.notices
        with (
            FitProgress(last, plan.progress and self.ranks.is_first) as progress,
            notices.listening(progress.compiling),
        ):
            self._call_back()  # the callbacks that an interruption skipped
            while position.epoch < last and not position.stopping:
                self._epoch(progress)
                row = self.ranks.agreed(self._row)
                self._end_epoch(row)
                progress.end_epoch(row)
                self._call_back()
                if position.epoch < last and not position.stopping:
                    self._save()
        if not position.stopping:
            position.history.stopped = "1 epoch is done" if plan.epochs == 1 else f"{plan.epochs} epochs are done"
        with self.state.interrupt:
            if plan.stopping.keep_best and position.best:
                self.state.program.parameters.replace(position.best)
            position.done = True
        self._save()

    def _save(self) -> None:
        """Write a checkpoint on rank 0, if the fit has a checkpoint file."""
        if self.plan.checkpoints.save is not None:
            self.position.seconds = time.perf_counter() - self._began
            self.ranks.agreed(self.plan.checkpoints.save)

    # Epochs --------------------------------------------------------------------------------------

    def _epoch(self, progress: FitProgress) -> None:
        """Train on the batches of an epoch that the position has not passed, and show the progress."""
        source, position, state = self.plan.source, self.position, self.state
        state.interrupt.watch()  # installed in each epoch, as callbacks may handle Ctrl-C themselves
        self._began = time.perf_counter() - position.seconds
        steps, done = source.steps_of_epoch(position.epoch, position.batch, self.plan.warm_up)
        progress.begin_epoch(position.epoch, steps, done + position.window)
        batches = source.epoch(position.epoch, position.batch)
        while (piece := self._next(batches)) is not None:
            self._batch(*piece, progress)
            with state.interrupt:
                position.batch, position.window, position.warmed = position.batch + 1, 0, False
        if not position.weight:
            raise ArgumentError(
                f"warm_up={self.plan.warm_up} leaves no step to train on in any batch; give a smaller one",
                self.plan.where,
            )
        self.stepper.flush()  # needs no check, because the average of finite gradients is finite

    def _next(self, batches: Iterator[Batch]) -> tuple[Batch, slice, dict[str, np.ndarray]] | None:
        """Return (next batch, rows of it that this process trains on, feeds of these rows); None at the end.

        If reading fails in a process, or if processes read different batches, all processes raise an error.
        """

        def read() -> tuple[Any, Any]:
            """Return ((batch, own rows, feeds), values equal in all processes); (None, None) at the end."""
            batch = next(batches, None)
            if batch is None:
                return None, None
            self.plan.padding.check(batch)
            own = self.stepper.own_rows(len(batch.rows))
            which = zlib.crc32(np.ascontiguousarray(batch.rows).tobytes())
            return (batch, own, batch.feeds(own)), {"rows": len(batch.rows), "longest": batch.longest, "order": which}

        problem = "rank {rank} has read a batch of {other}, rank 0 one of {first}; give all the same"
        return self.ranks.together_alike(read, problem, self.plan.where)

    def _batch(self, batch: Batch, own: slice, feeds: Mapping[str, np.ndarray], progress: FitProgress) -> None:
        """Train on those windows of a batch that the position has not passed.

        Args:
            batch: The batch.
            own: Rows of the batch that this process trains on.
            feeds: Feeds of these rows.
            progress: Shows the steps.
        """
        plan, position, stepper = self.plan, self.position, self.stepper
        examples, rows = batch
        cuts = examples.window is not None or plan.warm_up > 0

        def warmed() -> None:
            position.warmed = True

        if plan.warm_up and not position.warmed:
            examples.check_windows(plan.where)
            stepper.warm_up(examples.cut(feeds, 0, plan.warm_up), own, len(rows), plan.where, warmed)
        for number, (steps, cut) in enumerate(examples.windows(feeds, plan.warm_up, batch.longest)):
            if number < position.window:
                continue
            updates, weight = self.state.updates, len(rows) * steps
            loss = self._step(cut, rows, own, weight, carry=number > 0 or plan.warm_up > 0)
            progress.step(loss, len(rows), weight)
            every = plan.checkpoints.every
            if every is not None and self.state.updates != updates and self.state.updates % every == 0:
                self._save()
        if cuts:
            stepper.reset()

    def _step(self, feeds: Mapping[str, np.ndarray], rows: np.ndarray, own: slice, weight: int, carry: bool) -> float:
        """Train on one window, and return the loss. Raise ``NonFiniteError`` if the step was skipped.

        Args:
            feeds: This process's feeds of the window.
            rows: Positions of the batch's examples.
            own: Rows of the batch that this process trains on.
            weight: Weight of the loss in the epoch's mean.
            carry: True to start from the final states of the previous window or of the warm-up.
        """
        training, position = self.state.program.training, self.position
        give_way()
        with self.ranks.raise_together():
            arrays = training.gather(feeds, {}, self.plan.where)
        finite = True

        def committed(loss: float, counts: bool) -> None:
            nonlocal finite
            finite = counts
            if counts:
                position.loss, position.weight = position.loss + loss * weight, position.weight + weight
                position.window += 1

        plan = self.plan
        how = StepForm(plan.where, carry=carry, label_weights=plan.label_weights, on_commit=committed)
        loss = self.stepper.step_of_fit(arrays, own, len(rows), how)
        if not finite:
            raise self._not_finite(loss, arrays, rows, own.start or 0)
        return loss

    def _not_finite(
        self, loss: float, arrays: Mapping[str, np.ndarray], rows: np.ndarray, first: int
    ) -> NonFiniteError:
        """Return the error for a step whose loss or gradients are not finite. It names the first such value.

        The batch is checked again from declared states, so a value that is not finite due to carried states may not be
        found.

        Args:
            loss: Loss of the step.
            arrays: Feeds of this process's rows, with the counters of masks.
            rows: Positions of the batch's examples.
            first: Row of the batch that is the first one of ``arrays``.
        """
        training, position = self.state.program.training, self.position
        counters = ("seed", "first_row", "first_step")
        fed = {name: array for name, array in arrays.items() if name not in counters}
        seed = int(arrays["seed"]) if "seed" in arrays else 0
        try:
            finding = training.check(fed, seed=seed)
        except RnnGraphError:
            finding = None
        if finding is not None and finding.row is not None:
            finding = replace(finding, row=first + finding.row)
        finding = next((item for item in self.ranks.exchanged(finding) if item is not None), None)
        what = f"the loss is {loss:g}"
        if math.isfinite(loss):
            what = "the loss is finite, and the norm of its gradients is not"
        place = f": {finding}" if finding is not None else ", but not when the batch is rerun from the declared states"
        text = (
            f"{what} in epoch {position.epoch + 1}, batch {position.batch + 1}{place}; this update was not applied: "
            f"lower the learning rate, set clip_norm, or inspect {_examples_text(rows, finding)}"
        )
        return NonFiniteError(text, self.plan.where, finding)

    # Ends of epochs ------------------------------------------------------------------------------

    def _row(self) -> dict[str, float]:
        """Measure the epoch, and return its row of the history."""
        plan, position = self.plan, self.position
        rate = self.state.learning_rate
        row = {"epoch": float(position.epoch + 1), "loss": position.loss / position.weight}
        if plan.evaluation is not None:
            measured = plan.evaluation.run()
            if plan.validates:
                row |= {VALIDATION + name: value for name, value in measured.items()}
            else:
                row |= {name: value for name, value in measured.items() if name != "loss"}
        return row | {"learning_rate": rate, "seconds": time.perf_counter() - self._began}

    def _end_epoch(self, row: Mapping[str, float]) -> None:
        """Record the epoch's row of the history, and move the position to the next epoch."""
        position, state = self.position, self.state
        with state.interrupt:
            position.history.append(row)
            self._reduce_learning_rate(row)
            position.stopping = self._update_best(row)
            position.epoch += 1
            position.batch, position.loss, position.weight, position.seconds = 0, 0.0, 0.0, 0.0
            position.calling = 0
            state.epochs = position.epoch
        self._began = time.perf_counter()

    def _reduce_learning_rate(self, row: Mapping[str, float]) -> None:
        """Let a schedule with ``ReduceOnPlateau`` reduce the learning rate, by the epoch's row of the history."""
        rate = self.state.optimizer.learning_rate
        plateau = plateau_of(rate)
        if plateau is not None and isinstance(rate, Schedule):
            self.state.learning_rate = rate.measured(row[plateau.monitor or default_monitor(row)])

    def _call_back(self) -> None:
        """Call those callbacks that have not been called for the last epoch.

        After an interruption, the next fit repeats the interrupted callback.
        """
        position, interrupt = self.position, self.state.interrupt
        if position.calling is None:
            return
        row, optimizer = position.history.row(-1), self.state.optimizer
        for number, callback in enumerate(self.plan.callbacks[position.calling :], position.calling):
            try:
                position.calling = number + 1  # a checkpoint that the callback saves must not repeat the callback
                answer = self.ranks.agreed(partial(_stops_fit, callback, row, self.plan.where))
                with interrupt:
                    position.stopping |= answer
                    if answer:
                        position.history.stopped = f"a callback stopped it after epoch {position.epoch}"
            except BaseException:
                position.calling = number
                raise
        position.calling = None
        if self.plan.callbacks:
            take_changes(self.state, self.ranks, optimizer)

    def _update_best(self, row: Mapping[str, float]) -> bool:
        """Compare an epoch with the best one so far. Return True after ``patience`` epochs without improvement.

        If the epoch is the best, its value and, with ``keep_best``, its parameters are stored.
        """
        stopping, position = self.plan.stopping, self.position
        if not stopping.keep_best and stopping.patience is None:
            return False
        value, best = row[stopping.monitor], position.best_value
        better = best is None or (value < best if stopping.mode == "min" else value > best)
        if better and not math.isnan(value):
            parameters = self.state.program.parameters
            position.best_value, position.waited = value, 0
            changed = self.state.trained + self.state.updated
            position.best = {name: parameters[name] for name in changed} if stopping.keep_best else {}
            return False
        position.waited += 1
        if stopping.patience is None or position.waited < stopping.patience:
            return False
        position.history.stopped = f"{stopping.monitor} has not improved for {_epochs(position.waited)}"
        return True


def _stops_fit(callback: EpochHook, row: dict[str, float], where: Where | None) -> bool:
    """Call a callback with an epoch's row of the history. Return True if it stops the fit.

    Raise ``DtypeError`` unless the callback returns a bool or None.
    """
    answer = callback(row)
    if answer is None or isinstance(answer, bool | np.bool_):
        return bool(answer)
    raise DtypeError(
        f"a callback returns {shown(answer)}, which is neither a bool nor None; return True to stop the fit, else "
        "False or nothing",
        where,
    )


def _examples_text(rows: np.ndarray, finding: NonFinite | None) -> str:
    """Return text with the positions of the examples behind a non-finite value: of one row, or of the whole batch."""
    if finding is not None and finding.row is not None:
        return f"example {rows[finding.row]}, row {finding.row} of that batch"
    shown = ", ".join(map(str, rows[:MAX_EXAMPLES_SHOWN]))
    return f"the batch's examples: {shown}{', …' if len(rows) > MAX_EXAMPLES_SHOWN else ''}"


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"
