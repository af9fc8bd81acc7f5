"""Steps of a trainer with feeds of a kind that was met before: small ones are copied to memory that steps read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from ..ir.types import evaluate
from ..runtime.calls.feeds import Check, run_checks
from ..runtime.calls.prepared_call import PLAIN, SEED, SMALL, BoundCalls
from ..runtime.native.entry import NativeEntry, Sized

if TYPE_CHECKING:
    from .step_runner import Way
    from .trainer import Trainer


class BoundTrain:
    """Steps of one way to step, with feeds of one kind. The trainer lets one run at a time."""

    def __init__(
        self, trainer: Trainer, way: Way, entry: NativeEntry, sized: Sized, arrays: Mapping[str, np.ndarray],
        names: Mapping[Any, str], ranges: Sequence[Check],
    ) -> None:  # fmt: skip
        """arrays: all inputs of a step but states. names: of those that are fed, by what a step feeds them by."""
        self._trainer = ref(trainer)  # which holds this
        self._way, self._entry, self._sized = way, entry, sized
        self._shares = [key for key, name in names.items() if name in trainer.program.lowered.keep_probs]
        fixed = {name: np.array(array, order="C") for name, array in arrays.items() if array.nbytes <= SMALL}
        self._copied = [(key, fixed[name]) for key, name in names.items() if name in fixed]
        self._pointed = [(key, name) for key, name in names.items() if name not in fixed]
        fed = set(names.values())
        self._arrays = fixed | {name: array for name, array in arrays.items() if name not in fixed and name not in fed}
        self._seed = fixed.get(SEED)
        self._states = [
            (name, tuple(evaluate(dim, sized.sizes) for dim in kind.shape)) for name, kind in way.given.items()
        ]
        moving = [*(name for _, name in self._pointed), *way.given]
        self.moving = [(name, entry.input_slots[name][0]) for name in moving if name in entry.input_slots]
        """What lies elsewhere in each step, with the slots of its addresses."""
        self._ranges = [check for check in ranges if check.label in fed]

    def run(self, given: Mapping[Any, Any], seed: int | None, out: Any) -> float | None:
        """The loss of a step; None, and nothing done, where a feed has a value, or lies in memory, as only the general
        way takes it.
        """
        trainer, way = self._trainer(), self._way
        assert trainer is not None, "it is who calls"
        for key in self._shares:
            if not 0 < np.float32(given[key]) <= 1:
                return None
        arrays = self._arrays
        if self.moving:
            states = trainer.carried if self._states and trainer.carried else {}
            if any(states[name].shape != shape for name, shape in self._states):
                return None
            elsewhere = {name: given[key] for key, name in self._pointed} | states
            if any(elsewhere[name].flags.num & PLAIN != PLAIN for name, _ in self.moving):
                return None
            arrays = arrays | elsewhere
        for key, held in self._copied:
            held[...] = given[key]
        if self._ranges:
            run_checks(self._ranges, arrays, self._sized.sizes, None)
        drawn = trainer.seed_of_step(seed)
        if self._seed is not None:
            self._seed[...] = drawn
        return trainer.run_step(
            way, seed, None,
            lambda settle: way.native.run(trainer, arrays, self._entry, self._sized, settle, self),
        )  # fmt: skip


def bind(
    calls: BoundCalls, trainer: Trainer, way: Way, feeds: Any, named: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> None:  # fmt: skip
    """After a step that went the general way: others like it need not. arrays: all its inputs but states."""
    program = trainer.program
    names = {key: program.feed_name(key, None) for key in (*(feeds or ()), *named)}

    def bound() -> BoundTrain:
        ranges = way.native.compiled.range_checks(way.native.outputs)
        return BoundTrain(trainer, way, *way.entry(trainer, arrays, None), arrays, names, ranges)

    calls.add(feeds, named, names, program.training.kinds(), bound)
