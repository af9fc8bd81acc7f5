"""Steps with feeds of a signature that was met before: small ones are copied to memory that the step reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ir.types import evaluate
from ...runtime.calls.prepared_call import PLAIN, SEED, SMALL, CallCache
from ...runtime.native.entry import NativeEntry, Sized
from ...runtime.native.preconditions import Precondition, check_preconditions
from .step_buffers import FixedFeeds
from .step_runner import StepVariant
from .updates import Updates


class PreparedTrainStep:
    """Steps of one variant, with feeds of one signature. The trainer lets one run at a time."""

    def __init__(
        self, updates: Updates, variant: StepVariant, entry: NativeEntry, sized: Sized,
        arrays: Mapping[str, np.ndarray], names: Mapping[Any, str], ranges: Sequence[Precondition],
    ) -> None:  # fmt: skip
        """arrays: all inputs of a step but states. names: of those that are fed, by what a step feeds them by."""
        self._updates, self._state, self._variant = updates, updates.state, variant
        self._entry, self._sized = entry, sized
        keep_probs = updates.state.program.parts.lowered.keep_probs
        self._shares = [key for key, name in names.items() if name in keep_probs]
        fixed = {name: np.array(array, order="C") for name, array in arrays.items() if array.nbytes <= SMALL}
        self._copied = [(key, fixed[name]) for key, name in names.items() if name in fixed]
        self._pointed = [(key, name) for key, name in names.items() if name not in fixed]
        fed = set(names.values())
        self._arrays = fixed | {name: array for name, array in arrays.items() if name not in fixed and name not in fed}
        self._seed = fixed.get(SEED)
        self._states = [
            (name, tuple(evaluate(dim, sized.sizes) for dim in kind.shape)) for name, kind in variant.given.items()
        ]
        moving = [*(name for _, name in self._pointed), *variant.given]
        self._moving = [(name, entry.input_slots[name][0]) for name in moving if name in entry.input_slots]
        self._fixed = FixedFeeds(self._moving)
        self._ranges = [check for check in ranges if check.label in fed]

    def run(self, given: Mapping[Any, Any], seed: int | None, out: Any) -> float | None:
        """The loss of a step; None, and nothing done, where a feed has a value, or lies in memory, as only the slow
        path takes it.
        """
        state, variant = self._state, self._variant
        for key in self._shares:
            if not 0 < np.float32(given[key]) <= 1:
                return None
        arrays = self._arrays
        if self._moving:
            states = state.carried if self._states and state.carried else {}
            if any(states[name].shape != shape for name, shape in self._states):
                return None
            elsewhere = {name: given[key] for key, name in self._pointed} | states
            if any(elsewhere[name].flags.num & PLAIN != PLAIN for name, _ in self._moving):
                return None
            arrays = arrays | elsewhere
        for key, held in self._copied:
            held[...] = given[key]
        if self._ranges:
            check_preconditions(self._ranges, arrays, self._sized.sizes, None)
        drawn = state.seed_of_step(seed)
        if self._seed is not None:
            self._seed[...] = drawn
        return self._updates.run(
            variant, seed, None,
            lambda commit: variant.native.run(state, arrays, self._entry, self._sized, commit, self._fixed),
        )  # fmt: skip


def prepare(
    calls: CallCache, updates: Updates, variant: StepVariant, feeds: Any, named: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> None:  # fmt: skip
    """After a step on the slow path: prepares the next ones like it. arrays: all its inputs but states."""
    program = updates.state.program
    names = {key: program.parts.names.name_of(key, None) for key in (*(feeds or ()), *named)}

    def prepared() -> PreparedTrainStep:
        ranges = variant.native.compiled.range_preconditions(variant.native.outputs)
        entry, sized = variant.entry(updates.state, arrays, None)
        return PreparedTrainStep(updates, variant, entry, sized, arrays, names, ranges)

    calls.add(feeds, named, names, program.training.input_types(), prepared)
