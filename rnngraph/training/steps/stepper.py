"""Steps of a trainer, with feeds of any kind: what finds, makes and prepares the native calls that run them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...errors import Where
from ...passes.lowering.lowered import GIVEN, SHOWN
from ...runtime.calls.prepared_call import CallCache
from .prepared_train_step import prepare
from .step_runner import NativeStep, StepVariant
from .step_variants import variant_of
from .train_state import TrainState
from .updates import OnCommit, Updates


class Stepper:
    """The steps of one trainer, one at a time.

    prepared: calls that ran before, by whether states are carried, and whether there are such.
    """

    def __init__(self, state: TrainState) -> None:
        self.state, self.lock = state, threading.RLock()
        threads = state.program.options.threads
        self.prepared = {key: CallCache(threads) for key in ((False, False), (True, False), (True, True))}
        self._updates = Updates(state)
        self._variants: dict[tuple[str, tuple[float, ...]], StepVariant] = {}
        self._forward: NativeStep | None = None

    def step_and_prepare(
        self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], seed: int | None, carry: bool,
        calls: CallCache | None, where: Where | None,
    ) -> float:  # fmt: skip
        """A step, after which ``calls`` run others like it."""
        arrays = self.state.program.training.gather(feeds, named, where)
        states = GIVEN if calls is self.prepared[True, True] else SHOWN
        loss = self.step(arrays, seed, carry, where)
        if calls is not None:
            prepare(calls, self._updates, self._variants[states, ()], feeds, named, arrays)
        return loss

    def step(
        self, arrays: dict[str, np.ndarray], seed: int | None, carry: bool, where: Where | None,
        on_commit: OnCommit | None = None, label_weights: tuple[float, ...] = (),
    ) -> float:  # fmt: skip
        """A step with feeds that are converted already, to which the counters of masks are added.

        label_weights: one for each class, by which the loss counts its labels.
        """
        state = self.state
        with self.lock:
            arrays.update(state.program.training.counters(state.seed_of_step(seed)))
            states = state.carried if carry else None
            variant = self.variant(SHOWN if states is None else GIVEN, label_weights)
            if carry:
                variant.check_carries(where)
            return self._updates.run(
                variant, seed, on_commit, lambda commit: variant.run(state, arrays, states or {}, where, commit)
            )

    def warm_up(self, feeds: Mapping[str, Any], where: Where | None, committed: Callable[[], None]) -> None:
        """Steps forward only, from the declared states: those it ends in are what ``carry=True`` starts from."""
        state, training = self.state, self.state.program.training
        arrays = training.gather(feeds, {}, where)
        with self.lock:
            arrays.update(training.counters(state.seed_of_step(None)))
            variant = self.variant(SHOWN)
            variant.check_carries(where)
            if self._forward is None:
                self._forward = NativeStep(variant.native.compiled, variant.states)
            sizes = training.sizes(arrays, variant.states, where, variant.native.compiled)
            found = self._forward.call(state, arrays, sizes)
            with state.interrupt:
                state.carried, state.drawn = found, None
                committed()

    def flush(self) -> None:
        """Makes an update of the gradients that were accumulated so far, if there are any."""
        with self.lock:
            self._updates.flush()

    def reset(self) -> None:
        """Forgets carried states."""
        with self.lock:
            self.state.carried = None

    def variant(self, states: str, label_weights: tuple[float, ...] = ()) -> StepVariant:
        """One variant of a step, made when it is first asked for. states: only shown, or given too."""
        key = states, label_weights
        if key not in self._variants:
            self._variants[key] = variant_of(self.state, states, label_weights)
        return self._variants[key]
