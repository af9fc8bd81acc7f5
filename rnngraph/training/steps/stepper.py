"""Runs the steps of a trainer: finds the prepared native call for the feeds of a step, or prepares one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ...passes.lowering.lowered import FED, SHOWN
from ...runtime.calls.call_cache import CallCache
from ...runtime.calls.prepared_call import SEED
from ...support.bounded_cache import BoundedCache
from ...support.errors import Where
from ...support.forks import LockLevel, fork_lock
from ...support.records import dataclass
from .fetches import Fetch, Fetches
from .prepared_train_step import PreparedTrainStep
from .step_runner import NativeStep, StepVariant
from .step_variants import variant_of
from .train_state import TrainState
from .updates import OnCommit, Updates

MAX_PREPARED = 512
"""Maximum signatures whose prepared steps a trainer keeps. A fit over sequences has many, each with little memory."""

MAX_VARIANTS = 64
"""Maximum variants of a step that a trainer keeps; each different ``fetch=`` needs one."""

Kind = tuple[bool, bool, tuple[float, ...], Fetch | None]
"""Key of a compiled step: (True to carry states, True if feeds have states, label weights, fetched results)."""


@dataclass(frozen=True)
class StepForm:
    """Options of a step, without its feeds.

    Attributes:
        where: Line of the step, for errors.
        seed: Seed of masks; None for the next of the program's generator.
        carry: Start from the final states of the last step.
        label_weights: Weight of each class in the loss; empty for none.
        fetch: Results besides the loss; None for none.
        on_commit: Function that is called when the step's results take effect; None for none.
    """

    where: Where | None
    seed: int | None = None
    carry: bool = False
    label_weights: tuple[float, ...] = ()
    fetch: Fetch | None = None
    on_commit: OnCommit | None = None


class Stepper:
    """Runner of one trainer's steps. One step runs at a time."""

    def __init__(self, state: TrainState) -> None:
        self.state, self.lock = state, fork_lock(LockLevel.RUN)
        self._prepared: BoundedCache[Kind, CallCache[PreparedTrainStep]] = BoundedCache(MAX_VARIANTS)
        self._updates = Updates(state)
        self.fetches = Fetches(state.program)
        self._variants: BoundedCache[tuple[str, tuple[float, ...], Fetch | None], StepVariant]
        self._variants = BoundedCache(MAX_VARIANTS)
        self._forward: NativeStep | None = None

    def attempt(self, feeds: Any, named: Mapping[str, Any], seed: int | None, carry: bool, fetch: Fetch | None) -> Any:
        """Run a step by the prepared call of an earlier step with feeds of the same signature.

        Returns:
            The loss, or (loss, fetched results) with ``fetch``. None if no prepared call accepts the feeds; nothing has
            changed then.
        """
        states = self.state.carried if carry else None
        return self._calls((carry, states is not None, (), fetch)).run(feeds, named, seed)

    def step(
        self, arrays: dict[str, np.ndarray], how: StepForm, feeds: Any = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a step on the slow path, which finds or prepares the native call for the feeds' signature.

        Args:
            arrays: Converted feeds, to which the counters of masks are added.
            how: Options of the step.
            feeds, named: The unconverted feeds. ``attempt`` then runs later steps with feeds of their signature.

        Returns:
            The loss, or (loss, fetched results) with ``how.fetch``.
        """
        state, program, where = self.state, self.state.program, how.where
        with self.lock:
            arrays.update(program.training.counters(state.seed_of_step(how.seed)))
            states = state.carried if how.carry else None
            variant = self.variant(SHOWN if states is None else FED, how.label_weights, how.fetch)
            if how.carry:
                variant.check_carries(where)
            entry, sized = variant.entry(state, arrays, where)
            variant.check_states(states or {}, sized.sizes, where)

            def prepare(names: Mapping[Any, str]) -> PreparedTrainStep:
                shares = [name for name in names.values() if name in program.parts.lowered.keep_probs]
                read = {**names, **{name: name for name in variant.state_inputs}}
                fed = {**(states or {}), **arrays}
                draw = partial(state.seed_of_step, None)
                runner = variant.native.prepared(entry, sized, read, fed, SEED in arrays, shares, draw)
                return PreparedTrainStep(self._updates, variant, runner)

            step, converted = self._calls((how.carry, states is not None, how.label_weights, how.fetch)).prepared(
                feeds,
                named or {},
                arrays,
                lambda key: program.parts.names.name_of(key, None),
                program.training.input_types(),
                prepare,
            )
            wrapped = None if how.seed is None else int(arrays.get(SEED, 0))
            loss = step.run(converted, wrapped, None, how.on_commit)
            assert loss is not None, "converted feeds have the signature of the prepared step"
            return loss

    def own_rows(self, count: int) -> slice:
        """Return the slice of a batch's ``count`` rows that this process reads in a fit: all of them."""
        return slice(count)

    def step_of_fit(self, arrays: dict[str, np.ndarray], own: slice, count: int, how: StepForm) -> float:
        """Run a step of a fit, and return the loss.

        Args:
            arrays: Converted feeds of this process's rows.
            own: This process's rows of the batch.
            count: Number of rows of the batch.
            how: Options of the step.
        """
        loss: float = self.step(arrays, how)
        return loss

    def warm_up(
        self, feeds: Mapping[str, Any], own: slice, count: int, where: Where | None, committed: Callable[[], None]
    ) -> None:
        """Run forward from the declared states without an update, and keep the final states for the next step.

        Args:
            feeds: Feeds of this process's rows.
            own: This process's rows of the batch.
            count: Number of rows of the batch.
            where: The user's call.
            committed: Function that is called when the states are kept.
        """
        state, training = self.state, self.state.program.training
        arrays = training.gather(feeds, {}, where)
        with self.lock:
            arrays.update(training.counters(state.seed_of_step(None)))
            variant = self.variant(SHOWN)
            variant.check_carries(where)
            if self._forward is None:
                self._forward = NativeStep(state, variant.native.compiled, variant.states)
            sizes = training.sizes(arrays, variant.states, where, variant.native.compiled)
            final_states = self._forward.once(arrays, sizes)
            with state.interrupt:
                state.carried, state.drawn = final_states, None
                committed()

    def flush(self) -> None:
        """Update with the gradients accumulated so far, if any."""
        with self.lock:
            self._updates.flush()

    def reset(self) -> None:
        """Drop carried states, so that the next step starts from declared ones."""
        with self.lock:
            self.state.carried = None

    def variant(self, states: str, label_weights: tuple[float, ...] = (), fetch: Fetch | None = None) -> StepVariant:
        """Return the compiled step for these options, which is built on first use.

        Args:
            states: ``SHOWN`` to start from declared states, ``FED`` to start from fed ones.
            label_weights: Weight of each class in the loss; empty for none.
            fetch: Results besides the loss; None for none.
        """
        key = states, label_weights, fetch
        known = self._variants.get(key)
        if known is None:
            known = self._variants[key] = variant_of(self.state, states, label_weights, fetch)
        return known

    def _calls(self, kind: Kind) -> CallCache[PreparedTrainStep]:
        """Return the cache of prepared steps of one kind."""
        calls = self._prepared.get(kind)
        if calls is None:
            calls = self._prepared[kind] = CallCache(MAX_PREPARED)
        return calls
