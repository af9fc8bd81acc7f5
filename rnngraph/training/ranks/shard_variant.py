"""What the shards of a step compute: their parts of its sums, totals that these divide by, and rows of states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from ...ir.graph import Graph, topological
from ...ir.types import TensorType
from ...passes.shards.kinds import Kind, Rows, Summed
from ...passes.shards.shard import FIRST, Sharded
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
    """One of the shards of a step. arrays: what it is fed."""

    number: int
    arrays: dict[str, np.ndarray]


class ShardMemory:
    """What native steps of a shard know of a trainer: their gradients go into one place, and the tree takes them."""

    def __init__(self, state: TrainState, gradients: Packed) -> None:
        self.program, self.interrupt, self._gradients = state.program, state.interrupt, gradients

    def target(self, name: str) -> np.ndarray:
        return self._gradients.views[name]


class ShardCalls:
    """Native calls of one graph with the feeds of shards, prepared for those of shapes that were met. own: inputs that
    do not come from the caller.
    """

    def __init__(self, state: TrainState, native: NativeStep, own: frozenset[str]) -> None:
        self._training, self._native, self._own = state.program.training, native, own
        self._calls: CallCache[Runner] = CallCache()

    def run(self, arrays: Mapping[str, np.ndarray], where: Where | None) -> dict[str, np.ndarray]:
        compiled, outputs = self._native.compiled, self._native.outputs
        given = {name: arrays[name] for name in compiled.needed(outputs) if name in arrays}
        found: dict[str, np.ndarray] | None = self._calls.run(given, {})
        if found is not None:
            return found
        sizes = self._training.sizes(given, outputs, where, compiled, self._own)  # raises what is wrong with the feeds
        entry, types = compiled.entry(outputs, sizes), compiled.input_types()

        def made(names: Mapping[Any, str]) -> Runner:
            return self._native.prepared(entry, entry.sized(sizes), names, given)

        runner, fed = self._calls.prepared(given, {}, given, str, types, made)
        found = runner.run(fed)
        assert found is not None, "it was prepared for these inputs"
        return found


class ShardVariant:
    """One variant of a step, as shards compute it.

    summed: names of what is added up beside gradients: the loss, and of what is fetched; apart: names of what shards
    have rows of, or have alike. leaf: where a shard's gradients and sums lie; given: the sums of all.
    """

    def __init__(self, state: TrainState, variant: StepVariant, sharded: Sharded, rows: Set[str]) -> None:
        """rows: names of the sizes that count them."""
        self.step, self.kinds, self.totals = variant, sharded.kinds, Totals(state, sharded)
        compiled, outputs = variant.native.compiled, variant.native.outputs
        types = {name: node.tensor for name, node in compiled.graph.outputs}
        fetched = [name for name in types if name.startswith(FETCH)]
        self.summed = [LOSS, *(name for name in fetched if isinstance(self.kinds[name], Summed))]
        self.apart = [*variant.states, *(name for name in fetched if name not in self.summed)]
        for name in self.apart:
            kind = self.kinds[name]
            if isinstance(kind, Rows) and not kind.is_outermost(rows):
                where = compiled.graph.output(name).where
                raise GraphError(
                    "what is fetched has steps before rows in one axis; fetch it before they are joined", where
                )
        gradients = [name for name in types if name.startswith(SUM)]
        self.packing = Packing({name: _place(types[name]) for name in (*self.summed, *gradients)})
        self.leaf, self.given = self.packing.make(), self.packing.make()
        memory = ShardMemory(state, self.leaf)
        self._calls = ShardCalls(state, NativeStep(memory, compiled, outputs), variant.own)

    def compute(self, arrays: Mapping[str, np.ndarray], where: Where | None) -> dict[str, np.ndarray]:
        """A shard's results; its gradients and what is added up lie in ``leaf``."""
        found = self._calls.run(arrays, where)
        for name in self.summed:
            self.leaf.views[name][...] = found[name]
        return found

    def joined(
        self, everyone: Sequence[Sequence[Mapping[str, np.ndarray]]], names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """States and what is fetched of all rows. everyone: what each rank's shards have."""
        pieces = [piece for own in everyone for piece in own]
        return {name: _whole(self.kinds[name], [piece[name] for piece in pieces]) for name in names}


class Parts:
    """What the shards of this process give in one step.

    apart: what is not added up, of each. failure: what was raised; no other rank then waits for what does not come.
    """

    def __init__(self, variant: ShardVariant, where: Where | None) -> None:
        self._variant, self._where = variant, where
        self.apart: list[dict[str, np.ndarray]] = []
        self.failure: BaseException | None = None

    def computed(self, shards: Sequence[Shard]) -> Iterator[tuple[int, Packed]]:
        """Each shard's part of the sum, which stays until the next is asked for."""
        for shard in shards:
            if self.failure is None:
                try:
                    found = self._variant.compute(shard.arrays, self._where)
                    self.apart.append({name: found[name] for name in self._variant.apart})
                except BaseException as error:
                    self.failure = error
            yield shard.number, self._variant.leaf


class Stage(NamedTuple):
    """Totals that are computed together. leaf: where a shard's lie, given: the sums of all, from step to step."""

    calls: ShardCalls
    packing: Packing
    leaf: Packed
    given: Packed


class Totals:
    """What a loss divides by, and the like: computed of each shard's feeds and added up, before any shard's loss."""

    def __init__(self, state: TrainState, sharded: Sharded) -> None:
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
        """Feeds each shard the totals over all shards, of which ``count`` have rows."""
        for stage in self._stages:
            with ranks.together():
                found = [stage.calls.run(shard.arrays, where) for shard in shards]
            tree.add(_packed(shards, found, stage.leaf), count, stage.packing, stage.given)
            for shard in shards:
                shard.arrays.update(stage.given.views)


def _packed(
    shards: Sequence[Shard], found: Sequence[Mapping[str, np.ndarray]], leaf: Packed
) -> Iterator[tuple[int, Packed]]:
    for shard, arrays in zip(shards, found, strict=True):
        for name, view in leaf.views.items():
            view[...] = arrays[name]
        yield shard.number, leaf


def _stages(totals: Graph) -> list[tuple[str, ...]]:
    """Names of totals that are computed together: a later stage reads earlier ones."""
    stages: list[tuple[str, ...]] = []
    left = dict(totals.outputs)
    while left:
        waiting = {
            name for name, node in left.items()
            if any(item.op == "input" and item["label"] in left for item in topological([node]))
        }  # fmt: skip
        stages.append(tuple(name for name in left if name not in waiting))
        left = {name: node for name, node in left.items() if name in waiting}
    return stages


def _whole(kind: Kind, pieces: Sequence[np.ndarray]) -> np.ndarray:
    """A value of the whole batch, of what its shards have."""
    return np.concatenate(pieces, kind.axis) if isinstance(kind, Rows) else pieces[0]


def _place(kind: TensorType) -> tuple[tuple[int, ...], np.dtype]:
    sizes = [dim for dim in kind.shape if isinstance(dim, int)]
    if len(sizes) < kind.rank:
        raise GraphError("what is added up over shards has a size that only a call can tell; declare it, or fetch rows")
    return tuple(sizes), np.dtype(kind.dtype)
