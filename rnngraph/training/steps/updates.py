"""Commits of steps: new parameters, sums of gradients and carried states change together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .step_runner import NativeStep, StepVariant
from .step_variants import update_of
from .train_state import TrainState

OnCommit = Callable[[float, bool], None]
"""Function of (loss of a step, True if the step was not skipped), which is called as part of the step's commit."""


class Updates:
    """Commits the steps of one trainer. The caller holds the trainer's lock."""

    def __init__(self, state: TrainState) -> None:
        self.state = state
        self._update: NativeStep | None = None

    def commit(
        self, variant: StepVariant, seed: int | None, on_commit: OnCommit | None, results: Mapping[str, np.ndarray]
    ) -> None:
        """Let a step's results take effect: parameters, or sums of gradients, and carried states.

        Args:
            variant: The step.
            seed: Seed of the step's masks; None if it was drawn.
            on_commit: Function to call then; None for none.
            results: Results of the step by name.
        """
        state = self.state
        skipped, loss = state.skipped, float(results["loss"])
        self._take(loss, results, variant)
        if seed is None:
            state.drawn = None
        if on_commit is not None:
            on_commit(loss, state.skipped == skipped)

    def _take(self, loss: float, results: Mapping[str, np.ndarray], variant: StepVariant) -> None:
        """Apply a step's results, and update after every ``accumulate`` steps. Non-finite results may be skipped."""
        state = self.state
        if not state.count(loss, results):
            return
        state.carried = {label: results[label] for label in variant.states} if variant.states else None
        if state.accumulate == 1:
            state.take_parameters()
            return
        state.take_sums()
        if state.pending >= state.accumulate:
            self.flush()

    def flush(self) -> None:
        """Update with the gradients accumulated so far, if any."""
        state = self.state
        if not state.pending:
            return
        if self._update is None:
            self._update = update_of(state)

        def commit(results: Mapping[str, np.ndarray]) -> None:
            state.sums, state.pending = {}, 0
            if state.count(0.0, results):
                state.take_parameters()

        self._update.once({}, {}, commit)
