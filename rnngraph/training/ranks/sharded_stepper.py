"""Steps whose batch is cut in shards: each shard's gradients are computed apart, here or by another process, and added
up in one order.

The bits of a step depend on the batch and on the number of shards, and not on how many processes share them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import GraphError, ShapeError, Where
from ...passes.gradients.autodiff import PREFIX
from ...passes.lowering.lowered import GIVEN, SHOWN
from ...passes.shards.kinds import Kind, Rows, Summed
from ...passes.shards.shard import FIRST, Sharded
from ...passes.train_step import SUM
from ...runtime.calls.prepared_call import PreparedCall
from ...runtime.native.compiled_graph import CompiledGraph
from ..steps.batch_rows import BatchRows, rows_of
from ..steps.fetches import FETCH, Fetch
from ..steps.step_runner import NativeStep, StepVariant
from ..steps.step_variants import adding_of, shard_of
from ..steps.stepper import Stepper
from ..steps.train_state import TrainState
from ..steps.updates import OnCommit
from .packed import Packed, Packing
from .ranks import Ranks
from .shard_tree import ShardTree

LOSS = "loss"


class Batch(NamedTuple):
    """What a process has of a batch of ``rows``: those from ``first`` on, at least the rows of its shards."""

    arrays: dict[str, np.ndarray]
    first: int
    rows: int


class Shard(NamedTuple):
    """One of the shards of a step. arrays: what it is fed."""

    number: int
    arrays: dict[str, np.ndarray]


class ShardMemory:
    """What native steps of a shard know of a trainer: their gradients go into one place, and the tree takes them."""

    def __init__(self, state: TrainState, gradients: Packed) -> None:
        self.program, self.interrupt, self._gradients = state.program, state.interrupt, gradients

    def target(self, name: str) -> np.ndarray:
        return self._gradients.views[name]


class ShardVariant:
    """One variant of a step, as shards compute it.

    fetched: names of what is added up beside the loss; apart: names of what shards have rows of, or have alike.
    """

    def __init__(self, state: TrainState, variant: StepVariant, sharded: Sharded) -> None:
        self.step, self.kinds = variant, sharded.kinds
        types = {name: node.tensor for name, node in variant.native.compiled.graph.outputs}
        shown = [LOSS, *(name for name in types if name.startswith(FETCH) and isinstance(self.kinds[name], Summed))]
        self.summed = [name for name in shown if name in types]
        self.apart = [name for name in (*variant.states, *types)
                      if name in variant.states or (name.startswith(FETCH) and name not in self.summed)]  # fmt: skip
        self.apart = [*dict.fromkeys(self.apart)]
        gradients = [name for name in types if name.startswith(SUM)]
        kinds: dict[str, Any] = {name: (_sizes(types[name].shape), np.dtype(types[name].dtype))
                                 for name in (*self.summed, *gradients)}  # fmt: skip
        self.packing = Packing(kinds)
        self.leaf, self.given = self.packing.make(), self.packing.make()
        memory: Any = ShardMemory(state, self.leaf)
        self.native = NativeStep(memory, variant.native.compiled, variant.native.outputs)
        self.totals = Totals(state, sharded)
        self._calls: dict[Any, PreparedCall] = {}
        self._state = state

    def compute(self, arrays: dict[str, np.ndarray], where: Where | None) -> dict[str, np.ndarray]:
        """A shard's results; its gradients and what is added up lie in ``leaf``."""
        arrays = _read(self.native.compiled, self.native.outputs, arrays)
        key = tuple((name, array.shape) for name, array in arrays.items())
        call = self._calls.get(key)
        if call is None or call.spec.entry is None:
            entry, sized = self.step.entry(self._state, arrays, where)
            self._calls[key] = call = self.native.prepared(entry, sized, {name: name for name in arrays}, arrays)
        found = self.native.run(call, arrays, None, None)
        assert found is not None, "it was prepared for these inputs"
        for name in self.summed:
            self.leaf.views[name][...] = found[name]
        return found


class Totals:
    """What a loss divides by, and the like: computed of each shard's feeds and added up, before any shard's loss."""

    def __init__(self, state: TrainState, sharded: Sharded) -> None:
        parts = state.program.parts
        self.names = [name for name, _ in sharded.totals.outputs]
        self._state = state
        if self.names:
            compiled = CompiledGraph(sharded.totals, "training", parts.options, parts.source.described)
            self._native = NativeStep(state, compiled, tuple(self.names))
            types = {name: node.tensor for name, node in sharded.totals.outputs}
            self._packings = {name: Packing({name: (_sizes(types[name].shape), np.dtype(types[name].dtype))})
                              for name in self.names}  # fmt: skip

    def add(self, shards: list[Shard], count: int, tree: ShardTree, ranks: Ranks, where: Where | None) -> None:
        """Feeds each shard the totals over all shards, of which ``count`` have rows."""
        for name in self.names:  # a later one may read an earlier one
            packing = self._packings[name]
            leaf, given = packing.make(), packing.make()
            with ranks.together():
                found = [self._of(name, shard, where) for shard in shards]

            def leaves(
                leaf: Packed = leaf, found: list[np.ndarray] = found, name: str = name
            ) -> Iterator[tuple[int, Packed]]:
                for shard, array in zip(shards, found, strict=True):
                    leaf.views[name][...] = array
                    yield shard.number, leaf

            tree.add(leaves(), count, packing, given)
            for shard in shards:
                shard.arrays[name] = given.views[name]

    def _of(self, name: str, shard: Shard, where: Where | None) -> np.ndarray:
        compiled = self._native.compiled
        arrays = _read(compiled, (name,), shard.arrays)
        sizes = self._state.program.training.sizes(arrays, (name,), where, compiled, frozenset({FIRST, *self.names}))
        step = NativeStep(self._state, compiled, (name,))
        return step.once(arrays, sizes)[name]


class ShardedStepper(Stepper):
    """The steps of one trainer whose batches are cut in shards, over one process or several."""

    def __init__(self, state: TrainState, ranks: Ranks, shards: int, where: Where | None) -> None:
        super().__init__(state)
        self.ranks, self.tree = ranks, ShardTree(shards, ranks)
        self._rows = BatchRows.of(state.program, where)
        self._sharded: dict[Any, ShardVariant] = {}
        self._adding: NativeStep | None = None
        self._found: Mapping[str, np.ndarray] = {}
        self._steps = 0
        if state.updated:
            raise GraphError(
                f"{', '.join(state.updated)} changes with each step by what all rows of a batch give, and so a batch "
                "can't be cut in shards; train without shards",
                where,
            )
        self._variant(SHOWN, (), None)  # raises here where the loss mixes rows

    def step(
        self, arrays: dict[str, np.ndarray], seed: int | None, carry: bool, where: Where | None,
        on_commit: OnCommit | None = None, label_weights: tuple[float, ...] = (),
        feeds: Any = (), named: Mapping[str, Any] | None = None, fetch: Fetch | None = None,
    ) -> Any:  # fmt: skip
        with self.lock:
            with self.ranks.together():
                batch = Batch(arrays, 0, self._rows.count(arrays, where))
            self._check_alike(arrays)
            return self._step(batch, seed, carry, where, on_commit, label_weights, fetch)

    def own_rows(self, count: int) -> slice:
        each, mine = self._each(count), self.tree.mine
        return slice(min(mine.start * each, count), min(mine.stop * each, count))

    def step_of_fit(
        self, arrays: dict[str, np.ndarray], own: slice, count: int, carry: bool, where: Where | None,
        on_commit: OnCommit, label_weights: tuple[float, ...],
    ) -> float:  # fmt: skip
        with self.lock:
            loss: float = self._step(
                Batch(arrays, own.start, count), None, carry, where, on_commit, label_weights, None
            )
            return loss

    def _step(
        self, batch: Batch, seed: int | None, carry: bool, where: Where | None, on_commit: OnCommit | None,
        label_weights: tuple[float, ...], fetch: Fetch | None,
    ) -> Any:  # fmt: skip
        state, ranks = self.state, self.ranks
        states = state.carried if carry else None
        with ranks.together():
            variant = self._variant(SHOWN if states is None else GIVEN, label_weights, fetch)
            if carry:
                variant.step.check_carries(where)
            batch.arrays.update(state.program.training.counters(state.seed_of_step(seed)))
            shards, used = self._cut(variant, batch, states or {}, where)
        variant.totals.add(shards, used, self.tree, ranks, where)
        pieces: list[dict[str, np.ndarray]] = []
        failures: list[BaseException] = []
        self.tree.add(self._leaves(variant, shards, pieces, failures, where), used, variant.packing, variant.given)
        with ranks.together():
            if failures:
                raise failures[0]
        return self._commit(variant, self._joined(variant, pieces, variant.apart), seed, on_commit, fetch)

    def _leaves(
        self, variant: ShardVariant, shards: list[Shard], pieces: list[dict[str, np.ndarray]],
        failures: list[BaseException], where: Where | None,
    ) -> Iterator[tuple[int, Packed]]:  # fmt: skip
        """Each shard's part of the sum. A failure is kept, so that no other rank waits for what does not come."""
        for shard in shards:
            if not failures:
                try:
                    found = variant.compute(shard.arrays, where)
                    pieces.append({name: found[name] for name in variant.apart})
                except BaseException as error:
                    failures.append(error)
            yield shard.number, variant.leaf

    def warm_up(
        self, feeds: Mapping[str, Any], own: slice, count: int, where: Where | None, committed: Callable[[], None]
    ) -> None:  # fmt: skip
        state, training = self.state, self.state.program.training
        with self.lock:
            pieces: list[dict[str, np.ndarray]] = []
            with self.ranks.together():
                arrays = training.gather(feeds, {}, where)
                arrays.update(training.counters(state.seed_of_step(None)))
                variant = self._variant(SHOWN, (), None)
                variant.step.check_carries(where)
                shards, _ = self._cut(variant, Batch(arrays, own.start, count), {}, where)
                states, compiled = variant.step.states, variant.native.compiled
                forward = NativeStep(state, compiled, states)
                for shard in shards:
                    fed = _read(compiled, states, shard.arrays)
                    pieces.append(forward.once(fed, training.sizes(fed, states, where, compiled, variant.step.own)))
            found = self._joined(variant, pieces, states)
            with state.interrupt:
                state.carried, state.drawn = found, None
                committed()

    def _variant(self, states: str, label_weights: tuple[float, ...], fetch: Fetch | None) -> ShardVariant:
        key = states, label_weights, fetch
        if key not in self._sharded:
            self._sharded[key] = ShardVariant(self.state, *shard_of(self.state, *key, self._rows))
        return self._sharded[key]

    def _each(self, count: int) -> int:
        """Rows of a shard."""
        return max(1, -(-count // self.tree.shards))

    def _cut(
        self, variant: ShardVariant, batch: Batch, states: Mapping[str, np.ndarray], where: Where | None
    ) -> tuple[list[Shard], int]:
        """(this rank's shards that have rows, how many have any on all ranks): equal parts, but for the last."""
        for name in states:
            kind, array = variant.kinds[name], states[name]
            if isinstance(kind, Rows) and array.shape[kind.axis] != batch.rows:
                raise ShapeError(
                    f"carry=True continues {array.shape[kind.axis]} rows, and this step feeds {batch.rows}; feed as "
                    "many, or call reset() to begin anew",
                    where,
                )
        each = self._each(batch.rows)
        used = max(1, -(-batch.rows // each))
        shards = []
        for number in self.tree.mine:
            if number >= used:
                break
            first, stop = number * each, min((number + 1) * each, batch.rows)
            own = self._rows.cut(batch.arrays, first - batch.first, stop - batch.first)
            for name, array in states.items():
                kind = variant.kinds[name]
                own[name] = rows_of(array, kind.axis, first, stop) if isinstance(kind, Rows) else array
            if "first_row" in own:
                own["first_row"] = np.asarray(first, np.int64)
            own[FIRST] = np.asarray(number == 0)
            shards.append(Shard(number, own))
        return shards, used

    def _check_alike(self, arrays: Mapping[str, np.ndarray]) -> None:
        """That all ranks step the same batch: at first each time, later now and then, as it takes reading all."""
        self._steps += 1
        if self.ranks.size == 1 or self._steps & (self._steps - 1):
            return
        digest = 0
        for name, array in arrays.items():
            digest = (
                zlib.crc32(
                    np.ascontiguousarray(array).data.cast("B"), zlib.crc32(repr((name, array.shape)).encode(), digest)
                )
                if array.size
                else digest
            )
        self.ranks.check_same(
            digest,
            "rank {rank} feeds another batch than rank 0; give all ranks the whole batch, of which each computes "
            "its shards, and the same seed",
            None,
        )

    def _joined(
        self, variant: ShardVariant, pieces: list[dict[str, np.ndarray]], names: Sequence[str]
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """States and what is fetched of all rows, on all ranks."""
        if not names:
            return {}
        everyone = [piece for own in self.ranks.all(pieces) for piece in own]
        return {name: _whole(variant.kinds[name], [piece[name] for piece in everyone]) for name in names}

    def _commit(
        self, variant: ShardVariant, found: dict[str, np.ndarray], seed: int | None, on_commit: OnCommit | None,
        fetch: Fetch | None,
    ) -> Any:  # fmt: skip
        state, views = self.state, variant.given.views
        loss, skipped = float(views[LOSS]), state.skipped
        with state.interrupt:
            self._take(loss, {name.removeprefix(SUM): array for name, array in views.items() if name.startswith(SUM)})
            counts = state.skipped == skipped
            if counts:
                state.carried = {name: found[name] for name in variant.step.states} or None
            if seed is None:
                state.drawn = None
            if on_commit is not None:
                on_commit(loss, counts)
        if fetch is None:
            return loss
        return loss, fetch.pack({**found, **{name: views[name].copy() for name in variant.summed}})

    def _take(self, loss: float, gradients: Mapping[str, np.ndarray]) -> None:
        """An update by these gradients, or one more step whose gradients wait for one."""
        state = self.state
        if state.skip_non_finite and not math.isfinite(loss):
            state.skipped += 1
            return
        if state.accumulate == 1:
            state.sums, state.pending = {SUM + name: array for name, array in gradients.items()}, 1
            self.flush()
            return
        self._found = {PREFIX + name: array for name, array in gradients.items()}
        if self._adding is None:
            self._adding = adding_of(state, lambda: self._found)

        def commit(results: Mapping[str, np.ndarray]) -> None:
            if state.count(loss, results):
                state.take_sums()

        self._adding.once({}, {}, commit)
        if state.pending >= state.accumulate:
            self.flush()


def _read(
    compiled: CompiledGraph, outputs: tuple[str, ...], arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    return {name: arrays[name] for name in compiled.needed(outputs) if name in arrays}


def _whole(kind: Kind, pieces: Sequence[np.ndarray]) -> np.ndarray:
    """A value of the whole batch, of what its shards have."""
    return np.concatenate(pieces, kind.axis) if isinstance(kind, Rows) else pieces[0]


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    if not all(isinstance(dim, int) for dim in shape):
        raise GraphError("what is added up over shards has a size that only a call can tell; declare it, or fetch rows")
    return shape
