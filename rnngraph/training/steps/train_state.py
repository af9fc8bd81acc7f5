"""State of a trainer between steps, and memory for updates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...passes.train_step import NEW, NORM, NUMBER, SHARE, SLOT, SUM, updates_of
from ...program.program import Program
from ...runtime.native.recompute_option import AUTO, RecomputeOption
from ...support.allocation import reserve, zeros
from ...support.errors import Where
from ...support.records import dataclass
from ..optimization.optimizers import numbers_of, slots_of
from ..optimization.pruning import Prune
from .applied_gradients import AppliedGradients
from .deferred_interrupt import DeferredInterrupt
from .double_buffer import DoubleBuffer, copy_shared


@dataclass(frozen=True)
class TrainerOptions:
    """Options of a trainer, as ``Trainer`` documents them."""

    optimizer: Any = None
    only: Any = None
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1
    skip_non_finite: bool = True
    prune: Prune | None = None
    shards: int | None = None
    recompute: RecomputeOption = AUTO


class TrainState:
    """Options, counters and arrays of one trainer, between steps.

    Attributes:
        trained: Names of parameters that updates change.
        updated: Names of parameters that every step changes by ``rg.with_update``.
        skip_non_finite: Skip updates that are not finite.
        seed: Seed of the order of examples.
        where: Line that created the trainer.
        updates: Number of updates made.
        skipped: Number of steps and updates that were not finite, and were skipped.
        pending: Number of steps whose gradients wait for an update.
        epochs: Number of epochs that fits have completed.
        gradient_norm: Norm of the gradients of the last step, or of the last update from accumulated gradients. It is
            the norm before ``clip_norm``; NaN before the first step.
        slots: The optimizer's state of each parameter.
        sums: Sums of gradients that wait for an update; empty if there are none.
        carried: States at the end of the last step; None if the next step starts from declared states.
        drawn: Seed drawn for a step that did not complete; None if there is none.
        applied: Replacements of gradients in updates; None if gradients are applied as they are.
        shards: Number of parts of a batch whose gradients are computed separately; None if batches are not split.
        recompute: Number of steps that are recomputed together instead of stored, ``"auto"``, or None for none.
        prune: Schedule of pruning; None for no pruning.
        pruned: Names of pruned parameters.
        remaining_blocks: Masks of the blocks that are not zero, by name of the pruned parameter.
        interrupt: Defers a Ctrl-C while this state changes.
    """

    def __init__(self, program: Program, options: TrainerOptions, where: Where | None) -> None:
        """Create the state of a trainer before its first step. The options must be validated."""
        optimizer, trained = options.optimizer, tuple(options.only)
        self.program, self.optimizer, self.trained = program, optimizer, trained
        self.updated = tuple(updates_of(program.parts.lowered.graph))
        self.clip_norm, self.clip_value, self.accumulate = options.clip_norm, options.clip_value, options.accumulate
        self.skip_non_finite, self.seed, self.where = options.skip_non_finite, program.seed, where
        self.updates = self.skipped = self.pending = self.epochs = 0
        self.gradient_norm = math.nan
        kept = sum(program.parameters[name].nbytes for name in trained) * len(slots_of(optimizer))
        reserve(kept, f"the state of {type(optimizer).__name__} for each parameter", where)
        self.slots = {
            f"{SLOT}{slot}/{name}": np.full_like(program.parameters[name], value)
            for name in trained
            for slot, value in slots_of(optimizer).items()
        }
        self.sums: dict[str, np.ndarray] = {}
        self.carried: dict[str, np.ndarray] | None = None
        self.drawn: int | None = None
        self.applied: AppliedGradients | None = None
        self.shards: int | None = None
        self.recompute = options.recompute
        self.prune: Prune | None = None
        self.pruned: tuple[str, ...] = ()
        self.remaining_blocks: dict[str, np.ndarray] = {}
        self._zeros: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # masks of pruned elements
        self.interrupt = DeferredInterrupt()
        self._new_parameters, self._new_sums = DoubleBuffer(), DoubleBuffer()
        self._number_arrays: dict[str, np.ndarray] = {}

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next update."""
        return numbers_of(self.optimizer, self.updates)["rate"]

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self.optimizer = replace(self.optimizer, learning_rate=rate)

    def seed_of_step(self, seed: int | None) -> int:
        """Return the seed of a step's dropout masks: ``seed`` or, if that is None, the next of the program's generator.

        If the step does not complete, the next step gets the drawn seed again.
        """
        if seed is not None:
            return seed
        with self.interrupt:
            if self.drawn is None:
                self.drawn = self.program.parts.seeds.draw()
            return self.drawn

    # Inputs and outputs of a step ----------------------------------------------------------------

    def inputs(self) -> dict[str, np.ndarray]:
        """Return a step's inputs besides parameters, feeds and states.

        Such inputs are the sums of gradients if updates are rarer than steps; otherwise an update's slots and numbers.
        """
        return self.present_sums() if self.accumulate > 1 else self.update_inputs()

    def update_inputs(self) -> dict[str, np.ndarray]:
        """Return an update's inputs besides gradients: slots, which it overwrites, and the optimizer's numbers."""
        copy_shared(self.slots)
        return {**self.slots, **self._numbers()}

    def flush_inputs(self) -> dict[str, np.ndarray]:
        """Return all inputs of an update from accumulated gradients, besides parameters."""
        share = self._number_arrays.setdefault(SHARE, np.zeros(()))
        share[...] = 1 / self.pending
        return {**self.present_sums(), **self.update_inputs()}

    def present_sums(self) -> dict[str, np.ndarray]:
        """Return the accumulated sums of gradients, which are zeros if no step waits for an update."""
        if not self.sums:
            parameters = self.program.parameters
            self.sums = {
                SUM + name: zeros(parameters[name].shape, parameters[name].dtype, f"the sum of gradients of {name}")
                for name in self.trained
            }
        return self.sums

    def _numbers(self) -> dict[str, np.ndarray]:
        """Return the optimizer's numbers for the next update, such as the learning rate, in arrays that are reused."""
        arrays = self._number_arrays
        before = [label.removeprefix(NUMBER) for label in arrays if label != SHARE]
        for name, value in numbers_of(self.optimizer, self.updates, before).items():
            label = NUMBER + name
            if label not in arrays:
                arrays[label] = np.zeros(())
            arrays[label][...] = value
        return arrays

    def target(self, name: str) -> np.ndarray:
        """Return the array to which a step writes its output ``name``, a new parameter or sum."""
        if name.startswith(NEW):
            label = name.removeprefix(NEW)
            return self._new_parameters.target(label, self.program.parameters[label])
        return self._new_sums.target(name, self.program.parameters[name.removeprefix(SUM)])

    # Commits of a step -------------------------------------------------------------------------

    def count(self, loss: float, results: Mapping[str, np.ndarray]) -> bool:
        """Record a step's gradient norm. Return True if its results are committed; otherwise count a skipped step."""
        self.gradient_norm = float(results[NORM])
        return self.accepts(loss, self.gradient_norm)

    def accepts(self, *numbers: float) -> bool:
        """Return True if a step with this loss and norm is committed; otherwise count a skipped step.

        With ``skip_non_finite``, a step with NaN or infinity is not committed.
        """
        counts = not self.skip_non_finite or all(map(math.isfinite, numbers))
        self.skipped += not counts
        return counts

    def take_parameters(self) -> None:
        """Make the new parameters current, and count an update. The step has overwritten the slots already."""
        self._take(self.trained if self.accumulate > 1 else self.trained + self.updated)
        self.updates += 1

    def take_sums(self) -> None:
        """Make the new sums of gradients current, and count a step that waits for an update.

        New values of parameters that ``rg.with_update`` changes become current, too.
        """
        self._take(self.updated)
        self.sums = self._new_sums.swap(self.present_sums())
        self.pending += 1

    def _take(self, names: tuple[str, ...]) -> None:
        """Make the new values of parameters current. Once pruning has begun, they are pruned first."""
        parameters = self.program.parameters
        new = self._new_parameters.swap({name: parameters[name] for name in names})
        if self.prune is not None and self.updates >= self.prune.begin:
            self._prune({name: new[name] for name in self.pruned if name in new}, self.prune)
        parameters.replace(new)

    def _prune(self, new: Mapping[str, np.ndarray], prune: Prune) -> None:
        """Select the blocks to prune in new parameters, and set their weights to 0."""
        for name, array in new.items():
            left = self.remaining_blocks[name] = prune.remaining_blocks(
                array, self.remaining_blocks.get(name), self.updates
            )
            if name not in self._zeros or self._zeros[name][0] is not left:
                self._zeros[name] = left, prune.zeros(left, array.shape)
            array.flags.writeable = True  # it was read-only while it was a parameter
            np.copyto(array, 0, where=self._zeros[name][1])
