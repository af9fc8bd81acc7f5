"""Native steps: the graph of one variant of a step, its entries by the sizes that they meet, and their calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from ...declare.nest import flatten
from ...errors import GraphError, ShapeError, Where
from ...ir.graph import topological
from ...ir.types import evaluate
from ...passes.lowering.lowered import GIVEN, Lowered
from ...passes.train_step import NEW, NORM, SLOT, SUM
from ...runtime.calls.entry_cache import EntryCache
from ...runtime.native.argument_block import WORKER, WORKERS
from ...runtime.native.compiled_graph import CompiledGraph
from ...runtime.native.entry import NativeEntry, Sized
from .step_buffers import NOT_RUN, FixedFeeds, StepMemory
from .train_state import TrainState

Commit = Callable[[Mapping[str, np.ndarray]], None]
"""Brings the results of a step into effect."""
MOST_MEMORIES = 8
"""Entries for which a trainer keeps memory: packed weights and temporaries of each."""


class NativeStep:
    """Native entries of one graph by the sizes that they meet. Each call packs the weights again."""

    def __init__(self, compiled: CompiledGraph, outputs: tuple[str, ...]) -> None:
        self.compiled, self.outputs = compiled, outputs
        self._memory: dict[NativeEntry, StepMemory] = {}

    def call(
        self, state: TrainState, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int],
        commit: Commit | None = None,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """``run`` at these sizes."""
        entry = self.compiled.entry(self.outputs, sizes)
        return self.run(state, arrays, entry, entry.sized(sizes), commit)

    def run(
        self, state: TrainState, arrays: Mapping[str, np.ndarray], entry: NativeEntry, sized: Sized,
        commit: Commit | None = None, fixed: FixedFeeds | None = None,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Results but for those that replace something. commit: brings them into effect in the same moment, as slots
        were written over. fixed: of a prepared step, most of whose ``arrays`` lie where they lay before.
        """
        memory = self._memory.get(entry)
        if memory is None:
            if len(self._memory) >= MOST_MEMORIES:
                del self._memory[next(iter(self._memory))]
            memory = self._memory[entry] = StepMemory(entry)
        found = memory.fresh(sized)
        _, parameters = state.program.parameters.snapshot()  # of one moment, and alive until the call ends
        block = memory.block(state, parameters)
        block.set(arrays, found, sized, fixed)
        found.update(memory.scalars)
        for array in memory.scalars.values():
            array[...] = NOT_RUN
        with state.interrupt:
            try:
                entry.pack(block.address)
                sized.run(block.address, WORKER, WORKERS)
            finally:
                if commit is not None and float(found[NORM]) != NOT_RUN:
                    commit(found)
        return found


class StepVariant:
    """One variant of a step: with states as declared, or carried on from the step before."""

    def __init__(self, lowered: Lowered, compiled: CompiledGraph, states: str, fed: Collection[str]) -> None:
        """states: shown or given. fed: names of what callers feed."""
        graph = compiled.graph
        declared = compiled.lowered
        reached = set(topological([declared.output("loss")]))
        labels = [label for nest in lowered.states for label in flatten(nest)]
        # Only what the loss depends on is carried, and only forward in time.
        scans = {label: declared.output(label).operands[0] for label in labels}
        scans = {label: scan for label, scan in scans.items() if scan in reached}
        self.backward = [scan.where for scan in scans.values() if scan["reverse"]]
        self.states = tuple(scans) if not self.backward else ()
        ours = (NEW, SLOT, SUM)
        outputs = [name for name, _ in graph.outputs if name.startswith(ours) or name in ("loss", NORM, *self.states)]
        self.native = NativeStep(compiled, tuple(outputs))
        types = compiled.input_types()
        given = self.states if states == GIVEN else ()
        self.given = {name: types[name] for name in given if name in types}
        self.own = frozenset((*(types.keys() - set(fed)), *given))
        self._known = EntryCache()

    def check_carries(self, where: Where | None) -> None:
        if self.backward:
            raise GraphError(
                f"carry=True can't carry a backward recurrence (declared at {self.backward[0]}): its state comes from "
                "the end of the sequence",
                where,
            )
        if not self.states:
            raise GraphError("carry=True has no state to carry: the loss depends on no recurrence", where)

    def run(
        self, state: TrainState, arrays: dict[str, np.ndarray], states: Mapping[str, np.ndarray],
        where: Where | None, commit: Commit,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        entry, sized = self.entry(state, arrays, where)
        self.check_states(states, sized.sizes, where)
        return self.native.run(state, {**arrays, **states} if states else arrays, entry, sized, commit)

    def entry(
        self, state: TrainState, arrays: Mapping[str, np.ndarray], where: Where | None
    ) -> tuple[NativeEntry, Sized]:
        """For these feeds, which are checked."""
        compiled, outputs = self.native.compiled, self.native.outputs
        return self._known.entry(
            None, arrays, compiled, outputs,
            lambda: state.program.training.sizes(arrays, outputs, where, compiled, self.own), where,
        )  # fmt: skip

    def check_states(self, states: Mapping[str, np.ndarray], sizes: Mapping[str, int], where: Where | None) -> None:
        for name, kind in self.given.items():
            wanted = tuple(evaluate(dim, sizes) for dim in kind.shape)
            if states[name].shape != wanted:
                raise ShapeError(
                    f"carry=True continues {states[name].shape[0]} rows, and this step feeds {wanted[0]}; feed as "
                    "many, or call reset() to begin anew",
                    where,
                )
