"""Steps with feeds of a signature that was met before."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...runtime.calls.runner import Runner
from .step_runner import StepVariant
from .updates import OnCommit, Updates


class PreparedTrainStep:
    """Steps of one variant, with feeds of one signature. The trainer lets one run at a time."""

    def __init__(self, updates: Updates, variant: StepVariant, runner: Runner) -> None:
        """runner: is fed the states, too, if the variant carries them on."""
        self._updates, self._variant, self._runner = updates, variant, runner

    @property
    def is_current(self) -> bool:
        """False once the number of threads has changed."""
        return self._runner.is_current

    def run(self, given: Mapping[Any, Any], seed: int | None, out: Any, on_commit: OnCommit | None = None) -> Any:
        """Return the loss of a step, with what it fetches if it does.

        None, with nothing done, if only the slow path takes its feeds or states.
        """
        variant, updates = self._variant, self._updates
        if variant.given:
            carried = updates.state.carried or {}
            given = {**given, **{name: carried[name] for name in variant.given if name in carried}}
        found = self._runner.run(given, seed, commit=partial(updates.commit, variant, seed, on_commit))
        if found is None or variant.fetch is None:
            return None if found is None else float(found["loss"])
        return float(found["loss"]), variant.fetch.pack(found)
