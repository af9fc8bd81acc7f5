"""Steps with feeds of a signature that was met before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from ...runtime.calls.direct_call import AGAIN, LONG, OFTEN, Held, is_ready
from ...runtime.calls.prepared_call import PreparedCall
from .direct_train_step import direct_train_step, may_be_direct
from .step_runner import StepVariant
from .updates import OnCommit, Updates

MOST = 1_000_000
"""Nanoseconds of native code in a step that machine code runs: of longer ones Python's share is below 2 %."""
FEW = 64
"""Steps in machine code that pay for what it takes to make it ready."""
MOST_WAIT = 4096
"""Steps in Python after which it is made ready again at the latest."""


class PreparedTrainStep:
    """Steps of one variant, with feeds of one signature. The trainer lets one run at a time.

    held: what machine code is given that runs such steps; None until there were some.
    """

    def __init__(self, updates: Updates, variant: StepVariant, call: PreparedCall) -> None:
        """call: is fed the states, too, if the variant carries them on."""
        self._updates, self._variant, self._call = updates, variant, call
        self._until_direct = OFTEN if may_be_direct(updates.state, variant, call) else 0
        self._wait, self._counted, self._shortest = AGAIN, 0, math.inf
        self.held: Held | None = None

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
        if self._until_direct and found is not None and on_commit is None:
            self._until_direct -= 1
            self._shortest = min(self._shortest, variant.native.nanoseconds)
            if not self._until_direct:
                self._be_direct()
        if found is None or variant.fetch is None:
            return None if found is None else float(found["loss"])
        return float(found["loss"]), variant.fetch.pack(found)

    def _be_direct(self) -> None:
        """Lets machine code run the next steps. When it can't, as others hold parameters, this is tried ever less."""
        state, updates = self._updates.state, self._updates
        # The machine code itself is made only here: a first step would wait for it, and long ones have no use for it.
        if self._shortest > MOST or not is_ready(state.program.options.cache):
            return
        self._wait = AGAIN if self._steps() - self._counted > FEW else min(2 * self._wait, MOST_WAIT)
        self._until_direct = self._wait
        made = direct_train_step(state, self._variant, self._call, updates.sides, self._shortest >= LONG)
        if made is not None:
            self.held, updates.sides = made
        self._counted = self._steps()

    def _steps(self) -> int:
        """Steps that the trainer has made."""
        return self._updates.state.updates + self._updates.state.skipped
