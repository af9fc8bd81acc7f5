"""Prepared steps, for feeds whose signature occurred before."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...runtime.calls.runner import Runner
from .step_runner import StepVariant
from .updates import OnCommit, Updates


class PreparedTrainStep:
    """Runner of steps of one variant with feeds of one signature."""

    def __init__(self, updates: Updates, variant: StepVariant, runner: Runner) -> None:
        """Wrap a runner of native calls.

        Args:
            updates: Commits the steps.
            variant: The compiled step.
            runner: Runner for feeds of one signature, and for states if the variant starts from fed ones.
        """
        self._updates, self._variant, self._runner = updates, variant, runner

    @property
    def is_current(self) -> bool:
        """False once the number of threads has changed."""
        return self._runner.is_current

    def run(self, feeds: Mapping[Any, Any], seed: int | None, out: Any, on_commit: OnCommit | None = None) -> Any:
        """Run a step, and commit its results.

        Args:
            feeds: The feeds.
            seed: Seed of the masks; None to draw one.
            out: None, as steps write to no arrays of the caller.
            on_commit: Function to call when the results take effect; None for none.

        Returns:
            The loss, or (loss, fetched results). None if only the slow path accepts the feeds; nothing is changed then.
        """
        variant, updates = self._variant, self._updates
        if variant.state_inputs:
            carried = updates.state.carried or {}
            feeds = {**feeds, **{name: carried[name] for name in variant.state_inputs if name in carried}}
        results = self._runner.run(feeds, seed, commit=partial(updates.commit, variant, seed, on_commit))
        if results is None or variant.fetch is None:
            return None if results is None else float(results["loss"])
        return float(results["loss"]), variant.fetch.pack(results)
