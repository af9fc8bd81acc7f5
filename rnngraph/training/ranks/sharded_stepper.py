"""Steps of batches that are split into shards, possibly over processes. Gradients are added in a fixed order.

The bits of a step depend on the batch and the number of shards, and not on the number of processes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...passes.gradients.autodiff import PREFIX
from ...passes.lowering.lowered import FED, SHOWN
from ...passes.shards.kinds import Sharded
from ...passes.shards.shard import FIRST
from ...passes.train_step import SUM
from ...support.bounded_cache import BoundedCache
from ...support.errors import GraphError, ShapeError, Where
from ..steps.batch_rows import BatchRows, rows_of
from ..steps.fetches import Fetch
from ..steps.step_runner import NativeStep
from ..steps.step_variants import adding_of, shard_of
from ..steps.stepper import MAX_VARIANTS, StepForm, Stepper
from ..steps.train_state import TrainState
from .ranks import Ranks
from .shard_tree import ShardTree
from .shard_variant import LOSS, Parts, Shard, ShardCalls, ShardVariant


class Batch(NamedTuple):
    """Part of a batch that this process reads: rows from ``first``, at least those of its shards.

    ``rows`` is the number of rows of the whole batch; None: ``arrays`` have all rows.
    """

    arrays: dict[str, np.ndarray]
    first: int
    rows: int | None


class ShardedStepper(Stepper):
    """Steps of a trainer whose batches are split into shards."""

    def __init__(self, state: TrainState, ranks: Ranks, shards: int, where: Where | None) -> None:
        super().__init__(state)
        self.ranks, self.tree = ranks, ShardTree(shards, ranks)
        self._rows = BatchRows.of(state.program, where)
        self._sharded: BoundedCache[Any, ShardVariant] = BoundedCache(MAX_VARIANTS)
        self._adding: NativeStep | None = None
        self._sums: Mapping[str, np.ndarray] = {}
        self._steps = 0
        if state.updated:
            raise GraphError(
                f"the update of {', '.join(state.updated)} depends on all rows of a batch, so batches can't be "
                "sharded; train without shards",
                where,
            )
        self._variant(SHOWN, (), None)  # raises if the loss mixes rows

    def step(
        self, arrays: dict[str, np.ndarray], how: StepForm, feeds: Any = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        with self.lock:
            self._check_same_batch(arrays)
            return self._step(Batch(arrays, 0, None), how)

    def own_rows(self, count: int) -> slice:
        each, own_shards = self._rows_per_shard(count), self.tree.own_shards
        return slice(min(own_shards.start * each, count), min(own_shards.stop * each, count))

    def step_of_fit(self, arrays: dict[str, np.ndarray], own: slice, count: int, how: StepForm) -> float:
        with self.lock:
            loss: float = self._step(Batch(arrays, own.start, count), how)
            return loss

    def _step(self, batch: Batch, how: StepForm) -> Any:
        """Run a training step on this process's shards, with the other processes. Return loss and fetched values."""
        state, ranks, where = self.state, self.ranks, how.where
        states = state.carried if how.carry else None

        def begin() -> tuple[tuple[ShardVariant, list[Shard], int], Any]:
            variant = self._variant(SHOWN if states is None else FED, how.label_weights, how.fetch)
            if how.carry:
                variant.step.check_carries(where)
            shards, count = self._cut(variant, batch, state.seed_of_step(how.seed), states or {}, where)
            used = max(1, -(-count // self._rows_per_shard(count)))
            alike: dict[str, Any] = {"rows": count, "seed": how.seed, "carry": how.carry}
            alike["fetch"] = how.fetch is not None
            if batch.rows is None:
                alike |= {f"{name} of shape": array.shape for name, array in batch.arrays.items()}
            return (variant, shards, used), {**alike, "updates": state.updates, "rate": state.learning_rate}

        problem = "rank {rank} makes a step with {other}, and rank 0 with {first}; all must make the same steps"
        variant, shards, used = ranks.together_alike(begin, problem, where)
        variant.totals.add(shards, used, self.tree, ranks, where)
        parts = Parts(variant, where)
        self.tree.add(parts.computed(shards), used, variant.packing, variant.total)
        results = variant.joined(ranks.exchanged(parts.per_shard, parts.failure), variant.per_shard)
        return self._commit(variant, results, how)

    def warm_up(
        self, feeds: Mapping[str, Any], own: slice, count: int, where: Where | None, committed: Callable[[], None]
    ) -> None:
        """Run a batch forward without an update, and carry its final states into the next step."""
        state, training = self.state, self.state.program.training
        with self.lock:
            pieces: list[dict[str, np.ndarray]] = []
            with self.ranks.raise_together():
                batch = Batch(training.gather(feeds, {}, where), own.start, count)
                variant = self._variant(SHOWN, (), None)
                variant.step.check_carries(where)
                shards, _ = self._cut(variant, batch, state.seed_of_step(None), {}, where)
                states, compiled = variant.step.states, variant.step.native.compiled
                forward = ShardCalls(state, NativeStep(state, compiled, states), variant.step.own)
                pieces += [forward.run(shard.arrays, where) for shard in shards]
            final_states = variant.joined(self.ranks.exchanged(pieces), states)
            with state.interrupt:
                state.carried, state.drawn = final_states, None
                committed()

    def _variant(self, states: str, label_weights: tuple[float, ...], fetch: Fetch | None) -> ShardVariant:
        """Return the step on shards for these options, compiled on first use."""
        key = states, label_weights, fetch
        variant = self._sharded.get(key)
        if variant is None:
            variant = ShardVariant(self.state, *shard_of(self.state, *key, self._rows), self._rows.names)
            self._sharded[key] = variant
        return variant

    def _rows_per_shard(self, count: int) -> int:
        """Return the number of rows of a full shard: ``count`` divided by the shards, rounded up, and at least 1.

        The last shards may have fewer rows, or none.
        """
        return max(1, -(-count // self.tree.shards))

    def _cut(
        self, variant: ShardVariant, batch: Batch, seed: int, states: Mapping[str, np.ndarray], where: Where | None
    ) -> tuple[list[Shard], int]:
        """Split a batch into shards. Return (this process's shards, number of rows of the whole batch).

        Shards with rows are full, except for the last of them.
        """
        count = self._rows.count(batch.arrays, where) if batch.rows is None else batch.rows
        arrays = {**batch.arrays, **self.state.program.training.counters(seed)}
        for name in states:
            kind, array = variant.kinds[name], states[name]
            if isinstance(kind, Sharded) and array.shape[kind.axis] != count:
                raise ShapeError(
                    f"carry=True continues {array.shape[kind.axis]} rows, and this step feeds {count}; feed as "
                    "many, or call reset() to begin anew",
                    where,
                )
        each = self._rows_per_shard(count)
        used = max(1, -(-count // each))
        shards = []
        for number in self.tree.own_shards:
            if number >= used:
                break
            first, stop = number * each, min((number + 1) * each, count)
            own = self._rows.cut(arrays, first - batch.first, stop - batch.first)
            for name, array in states.items():
                kind = variant.kinds[name]
                own[name] = rows_of(array, kind.axis, first, stop) if isinstance(kind, Sharded) else array
            if "first_row" in own:
                own["first_row"] = np.asarray(first, np.int64)
            own[FIRST] = np.asarray(number == 0)
            shards.append(Shard(number, own))
        return shards, count

    def _check_same_batch(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise an error on all ranks if their batches differ, in steps 1, 2, 4, 8 and so on, because it is slow."""
        self._steps += 1
        if self.ranks.size == 1 or self._steps & (self._steps - 1):
            return

        def digest() -> tuple[None, int]:
            checksum = 0
            for name, array in arrays.items():
                checksum = zlib.crc32(repr((name, array.shape)).encode(), checksum)
                checksum = zlib.crc32(array.tobytes(), checksum)
            return None, checksum

        self.ranks.together_alike(
            digest,
            "rank {rank} feeds another batch than rank 0; give all ranks the same whole batch and seed; each rank "
            "computes only its shards",
            None,
        )

    def _commit(self, variant: ShardVariant, results: dict[str, np.ndarray], how: StepForm) -> Any:
        """Update the parameters with a step's summed gradients. Return the loss, with fetched values if any."""
        state, views = self.state, variant.total.views
        loss, skipped = float(views[LOSS]), state.skipped
        with state.interrupt:
            self._apply_sums(loss, {name: array for name, array in views.items() if name.startswith(SUM)})
            counts = state.skipped == skipped
            if counts:
                state.carried = {name: results[name] for name in variant.step.states} or None
            if how.seed is None:
                state.drawn = None
            if how.on_commit is not None:
                how.on_commit(loss, counts)
        if how.fetch is None:
            return loss
        return loss, how.fetch.pack({**results, **{name: views[name].copy() for name in variant.summed}})

    def _apply_sums(self, loss: float, sums: dict[str, np.ndarray]) -> None:
        """Update parameters with gradients summed over shards; with ``accumulate``, add them to earlier ones first."""
        state = self.state
        if not state.accepts(loss):
            return
        if state.accumulate == 1:
            state.sums, state.pending = sums, 1
            self.flush()
            return
        self._sums = {PREFIX + name.removeprefix(SUM): array for name, array in sums.items()}
        if self._adding is None:
            self._adding = adding_of(state, lambda: self._sums)

        def commit(results: Mapping[str, np.ndarray]) -> None:
            if state.count(loss, results):
                state.take_sums()

        self._adding.once({}, {}, commit)
        if state.pending >= state.accumulate:
            self.flush()
