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
        where: Line of the trainer.
        updates: Number of updates made.
        skipped: Number of steps and updates that were not finite, and were skipped.
        pending: Steps whose gradients wait for an update.
        epochs: Epochs of all fits.
        gradient_norm: Norm of the last step's gradients; NaN before the first step.
        slots: The optimizer's state of each parameter.
        sums: Sums of gradients that wait for an update.
        carried: States at the end of the last step; None: steps start as declared.
        drawn: Seed drawn for a step that did not complete.
        applied: Replacements of gradients in updates; None: none.
        shards: Number of parts of a batch whose gradients are computed separately; None: not split.
        recompute: Number of steps that are recomputed together instead of stored, ``"auto"``, or None for none.
        prune: Schedule of pruning.
        pruned: Names of pruned parameters.
        remaining_blocks: Masks of the blocks that are not zero, by pruned parameter.
        interrupt: Defers a Ctrl-C while this state changes.
    """

    def __init__(self, program: Program, options: TrainerOptions, where: Where | None) -> None:
        """Make the state of a trainer with validated options."""
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
        """Return the seed of a step's masks. A drawn seed is reused after a step that did not complete."""
        if seed is not None:
            return seed
        with self.interrupt:
            if self.drawn is None:
                self.drawn = self.program.parts.seeds.draw()
            return self.drawn

    # Inputs and outputs of a step ----------------------------------------------------------------

    def inputs(self) -> dict[str, np.ndarray]:
        """Return a step's inputs other than feeds and states."""
        return self.present_sums() if self.accumulate > 1 else self.update_inputs()

    def update_inputs(self) -> dict[str, np.ndarray]:
        """Return an update's inputs other than gradients: slots, which are overwritten, and numbers."""
        copy_shared(self.slots)
        return {**self.slots, **self._numbers()}

    def flush_inputs(self) -> dict[str, np.ndarray]:
        """Return the inputs of an update from summed gradients."""
        share = self._number_arrays.setdefault(SHARE, np.zeros(()))
        share[...] = 1 / self.pending
        return {**self.present_sums(), **self.update_inputs()}

    def present_sums(self) -> dict[str, np.ndarray]:
        """Return the sums of gradients; zeros if there are none."""
        if not self.sums:
            parameters = self.program.parameters
            self.sums = {
                SUM + name: zeros(parameters[name].shape, parameters[name].dtype, f"the sum of gradients of {name}")
                for name in self.trained
            }
        return self.sums

    def _numbers(self) -> dict[str, np.ndarray]:
        """Return the optimizer's numbers for the next update, in arrays that are reused."""
        arrays = self._number_arrays
        before = [label.removeprefix(NUMBER) for label in arrays if label != SHARE]
        for name, value in numbers_of(self.optimizer, self.updates, before).items():
            label = NUMBER + name
            if label not in arrays:
                arrays[label] = np.zeros(())
            arrays[label][...] = value
        return arrays

    def target(self, name: str) -> np.ndarray:
        """Return the array to which a new parameter or sum is written."""
        if name.startswith(NEW):
            label = name.removeprefix(NEW)
            return self._new_parameters.target(label, self.program.parameters[label])
        return self._new_sums.target(name, self.program.parameters[name.removeprefix(SUM)])

    # Commits of a step -------------------------------------------------------------------------

    def count(self, loss: float, results: Mapping[str, np.ndarray]) -> bool:
        """Record a step's gradient norm. Return True if loss and norm allow a commit; else count it as skipped."""
        self.gradient_norm = float(results[NORM])
        return self.accepts(loss, self.gradient_norm)

    def accepts(self, *numbers: float) -> bool:
        """Return True if a step with these numbers is committed; else count it as skipped.

        With ``skip_non_finite``, steps with NaN or infinity are not committed.
        """
        counts = not self.skip_non_finite or all(map(math.isfinite, numbers))
        self.skipped += not counts
        return counts

    def take_parameters(self) -> None:
        """Swap the new parameters with the current ones. Slots were overwritten."""
        self._take(self.trained if self.accumulate > 1 else self.trained + self.updated)
        self.updates += 1

    def take_sums(self) -> None:
        """Swap the new sums of gradients with the current ones."""
        self._take(self.updated)
        self.sums = self._new_sums.swap(self.present_sums())
        self.pending += 1

    def _take(self, names: tuple[str, ...]) -> None:
        """Swap parameters with their new values, which are pruned first."""
        parameters = self.program.parameters
        new = self._new_parameters.swap({name: parameters[name] for name in names})
        if self.prune is not None and self.updates >= self.prune.begin:
            self._prune({name: new[name] for name in self.pruned if name in new}, self.prune)
        parameters.replace(new)

    def _prune(self, new: Mapping[str, np.ndarray], prune: Prune) -> None:
        """Set the weights of pruned blocks to zero in new parameters."""
        for name, array in new.items():
            left = self.remaining_blocks[name] = prune.remaining_blocks(
                array, self.remaining_blocks.get(name), self.updates
            )
            if name not in self._zeros or self._zeros[name][0] is not left:
                self._zeros[name] = left, prune.zeros(left, array.shape)
            array.flags.writeable = True  # it was read-only while it was a parameter
            np.copyto(array, 0, where=self._zeros[name][1])
