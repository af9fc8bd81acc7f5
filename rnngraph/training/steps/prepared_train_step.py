"""Steps with feeds of a signature that was met before."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...runtime.calls.prepared_call import PreparedCall
from .step_runner import StepVariant
from .updates import OnCommit, Updates


class PreparedTrainStep:
    """Steps of one variant, with feeds of one signature. The trainer lets one run at a time."""

    def __init__(self, updates: Updates, variant: StepVariant, call: PreparedCall) -> None:
        """call: is fed the states, too, if the variant carries them on."""
        self._updates, self._variant, self._call = updates, variant, call

    def run(self, given: Mapping[Any, Any], seed: int | None, out: Any, on_commit: OnCommit | None = None) -> Any:
        """The loss of a step, and what it fetches beside it if it does; None, and nothing done, where feeds or states
        are as only the slow path takes them.
        """
        variant, updates = self._variant, self._updates
        if variant.given:
            carried = updates.state.carried or {}
            given = {**given, **{name: carried[name] for name in variant.given if name in carried}}
        draw, commit = partial(updates.state.seed_of_step, seed), partial(updates.commit, variant, seed, on_commit)
        found = variant.native.run(self._call, given, draw, commit)
        if found is None or variant.fetch is None:
            return None if found is None else float(found["loss"])
        return float(found["loss"]), variant.fetch.pack(found)
