"""Computation of a step's shards: partial sums, and totals over all shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from ...ir.graph import Graph, topological
from ...ir.types import TensorType
from ...passes.shards.kinds import Kind, Partial, Sharded
from ...passes.shards.shard import FIRST, ShardGraph
from ...passes.train_step import SUM
from ...runtime.calls.call_cache import CallCache
from ...runtime.calls.runner import Runner
from ...runtime.native.compiled_graph import CompiledGraph
from ...support.errors import GraphError, Where
from ..steps.fetches import FETCH
from ..steps.step_runner import NativeStep, StepVariant
from ..steps.train_state import TrainState
from .packed import Packed, Packing
from .ranks import Ranks
from .shard_tree import ShardTree

LOSS = "loss"


class Shard(NamedTuple):
    """Shard of a step's batch, with its feeds."""

    number: int
    arrays: dict[str, np.ndarray]


class ShardMemory:
    """Owner of the arrays that native steps of shards write: the packed gradients that ``ShardTree`` adds."""

    def __init__(self, state: TrainState, gradients: Packed) -> None:
        self.program, self.interrupt, self._gradients = state.program, state.interrupt, gradients

    def target(self, name: str) -> np.ndarray:
        return self._gradients.views[name]


class ShardCalls:
    """Prepared native calls of one graph on shards.

    ``own`` are inputs that do not come from the caller.
    """

    def __init__(self, state: TrainState, native: NativeStep, own: frozenset[str]) -> None:
        self._training, self._native, self._own = state.program.training, native, own
        self._calls: CallCache[Runner] = CallCache()

    def run(self, arrays: Mapping[str, np.ndarray], where: Where | None) -> dict[str, np.ndarray]:
        """Run the graph on the inputs of one shard of a batch, and return the results by name."""
        compiled, outputs = self._native.compiled, self._native.outputs
        feeds = {name: arrays[name] for name in compiled.needed(outputs) if name in arrays}
        results: dict[str, np.ndarray] | None = self._calls.run(feeds, {})
        if results is not None:
            return results
        sizes = self._training.sizes(feeds, outputs, where, compiled, self._own)  # raises an error for invalid feeds
        entry, types = compiled.entry(outputs, sizes), compiled.input_types()

        def prepare(names: Mapping[Any, str]) -> Runner:
            return self._native.prepared(entry, entry.sized(sizes), names, feeds)

        runner, fed = self._calls.prepared(feeds, {}, feeds, str, types, prepare)
        results = runner.run(fed)
        assert results is not None, "the runner was prepared for these inputs"
        return results


class ShardVariant:
    """Variant of a step that computes one shard.

    Attributes:
        summed: Names of values that are added up in addition to gradients: the loss, and fetched ones.
        per_shard: Names of values that each shard returns: its own rows, or the same value on all shards.
        leaf: Memory of a shard's gradients and sums.
        total: Memory of the sum over shards.
    """

    def __init__(self, state: TrainState, variant: StepVariant, sharded: ShardGraph, rows: Set[str]) -> None:
        """Prepare a training step's call for one shard of a batch. ``rows`` are the names of sizes that count rows."""
        self.step, self.kinds, self.totals = variant, sharded.kinds, Totals(state, sharded)
        compiled, outputs = variant.native.compiled, variant.native.outputs
        types = {name: node.tensor for name, node in compiled.graph.outputs}
        fetched = [name for name in types if name.startswith(FETCH)]
        self.summed = [LOSS, *(name for name in fetched if isinstance(self.kinds[name], Partial))]
        self.per_shard = [*variant.states, *(name for name in fetched if name not in self.summed)]
        for name in self.per_shard:
            kind = self.kinds[name]
            if isinstance(kind, Sharded) and not kind.is_outermost(rows):
                where = compiled.graph.output(name).where
                raise GraphError(
                    "a fetched value merges steps and rows in one axis; fetch it before that reshape", where
                )
        gradients = [name for name in types if name.startswith(SUM)]
        self.packing = Packing({name: _place(types[name]) for name in (*self.summed, *gradients)})
        self.leaf, self.total = self.packing.make(), self.packing.make()
        memory = ShardMemory(state, self.leaf)
        self._calls = ShardCalls(state, NativeStep(memory, compiled, outputs), variant.own)

    def compute(self, arrays: Mapping[str, np.ndarray], where: Where | None) -> dict[str, np.ndarray]:
        """Run the step on one shard, and return its results by name. Gradients and sums are written to ``leaf``."""
        results = self._calls.run(arrays, where)
        for name in self.summed:
            self.leaf.views[name][...] = results[name]
        return results

    def joined(
        self, everyone: Sequence[Sequence[Mapping[str, np.ndarray]]], names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return states and fetched values of the whole batch, by name, from those of the shards of all processes."""
        pieces = [piece for own in everyone for piece in own]
        return {name: _join_shards(self.kinds[name], [piece[name] for piece in pieces]) for name in names}


class Parts:
    """Results of this process's shards in one step.

    ``failure`` is an exception; the process still takes part in the exchange, so that no other waits.
    """

    def __init__(self, variant: ShardVariant, where: Where | None) -> None:
        self._variant, self._where = variant, where
        self.per_shard: list[dict[str, np.ndarray]] = []
        self.failure: BaseException | None = None

    def computed(self, shards: Sequence[Shard]) -> Iterator[tuple[int, Packed]]:
        """Run the step on each shard. Yield (shard's number, its gradients and sums), valid until the next one."""
        for shard in shards:
            if self.failure is None:
                try:
                    results = self._variant.compute(shard.arrays, self._where)
                    self.per_shard.append({name: results[name] for name in self._variant.per_shard})
                except BaseException as error:
                    self.failure = error
            yield shard.number, self._variant.leaf


class Stage(NamedTuple):
    """Totals that are computed together, with their memory."""

    calls: ShardCalls
    packing: Packing
    leaf: Packed
    total: Packed


class Totals:
    """Totals over all shards, such as divisors of a loss, which are computed before any shard's loss."""

    def __init__(self, state: TrainState, sharded: ShardGraph) -> None:
        types = {name: node.tensor for name, node in sharded.totals.outputs}
        parts = state.program.parts
        compiled = CompiledGraph(sharded.totals, "training", parts.options, parts.source.described) if types else None
        self._stages: list[Stage] = []
        for names in _stages(sharded.totals):
            assert compiled is not None
            calls = ShardCalls(state, NativeStep(state, compiled, names), frozenset({FIRST, *types}))
            packing = Packing({name: _place(types[name]) for name in names})
            self._stages.append(Stage(calls, packing, packing.make(), packing.make()))

    def add(self, shards: Sequence[Shard], count: int, tree: ShardTree, ranks: Ranks, where: Where | None) -> None:
        """Compute sums over the whole batch that its loss needs, such as divisors, and feed them to each shard."""
        for stage in self._stages:
            with ranks.raise_together():
                results = [stage.calls.run(shard.arrays, where) for shard in shards]
            tree.add(_packed(shards, results, stage.leaf), count, stage.packing, stage.total)
            for shard in shards:
                shard.arrays.update(stage.total.views)


def _packed(
    shards: Sequence[Shard], results: Sequence[Mapping[str, np.ndarray]], leaf: Packed
) -> Iterator[tuple[int, Packed]]:
    """Yield (shard's number, its results in ``leaf``), which the next shard overwrites."""
    for shard, arrays in zip(shards, results, strict=True):
        for name, view in leaf.views.items():
            view[...] = arrays[name]
        yield shard.number, leaf


def _stages(totals: Graph) -> list[tuple[str, ...]]:
    """Return groups of names of totals. Each group reads only totals of earlier groups."""
    stages: list[tuple[str, ...]] = []
    left = dict(totals.outputs)
    while left:
        waiting = {
            name
            for name, node in left.items()
            if any(item.op == "input" and item["label"] in left for item in topological([node]))
        }
        stages.append(tuple(name for name in left if name not in waiting))
        left = {name: node for name, node in left.items() if name in waiting}
    return stages


def _join_shards(kind: Kind, pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Return the value of the whole batch from its shards' values: their concatenation, or any if all are equal."""
    return np.concatenate(pieces, kind.axis) if isinstance(kind, Sharded) else pieces[0]


def _place(kind: TensorType) -> tuple[tuple[int, ...], np.dtype]:
    """Return the shape and dtype of a value to add up. Raise ``GraphError`` for a symbolic size."""
    sizes = [dim for dim in kind.shape if isinstance(dim, int)]
    if len(sizes) < kind.rank:
        raise GraphError("a value that is added up over shards has a symbolic size; declare the size, or fetch rows")
    return tuple(sizes), np.dtype(kind.dtype)
