"""Native steps of a trainer: the graph of one way to step, its entries by the sizes they meet, and their calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..declare.nest import flatten
from ..errors import GraphError, ShapeError, Where
from ..ir.graph import topological
from ..ir.types import evaluate
from ..passes.lowering.lowered import GIVEN, Lowered
from ..passes.train_step import NEW, NORM, SLOT, SUM
from ..program.callable_graph import KnownShapes
from ..runtime.native.compiled_graph import CompiledGraph
from ..runtime.native.entry import NativeEntry, Sized
from .step_buffers import NOT_RUN, WORKER, WORKERS, Memory

if TYPE_CHECKING:
    from .prepared_train_step import BoundTrain
    from .trainer import Trainer

Settle = Callable[[Mapping[str, np.ndarray]], None]


MOST_MEMORIES = 8
"""Entries for whose steps a trainer has memory: packed weights and temporaries of each."""


class Native:
    """Native entries of one graph by the sizes they meet. Each call packs the weights anew."""

    def __init__(self, compiled: CompiledGraph, outputs: tuple[str, ...]) -> None:
        self.compiled, self.outputs = compiled, outputs
        self._memory: dict[NativeEntry, Memory] = {}

    def call(
        self, trainer: Trainer, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int], settle: Settle | None = None
    ) -> dict[str, np.ndarray]:
        entry = self.compiled.entry(self.outputs, sizes)
        return self.run(trainer, arrays, entry, entry.sized(sizes), settle)

    def run(
        self, trainer: Trainer, arrays: Mapping[str, np.ndarray], entry: NativeEntry, sized: Sized,
        settle: Settle | None = None, bound: BoundTrain | None = None,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Results but for those that replace something. settle: takes them over in the same moment, as what was
        written over counts. bound: whose ``arrays`` they are.
        """
        memory = self._memory.get(entry)
        if memory is None:
            if len(self._memory) >= MOST_MEMORIES:
                del self._memory[next(iter(self._memory))]
            memory = self._memory[entry] = Memory(entry)
        found = memory.fresh(sized)
        _, parameters = trainer.program.parameters.snapshot()  # of one moment, and alive until the call ends
        block = memory.bound(trainer, parameters)
        block.set(arrays, found, sized, bound)
        found.update(memory.scalars)
        for array in memory.scalars.values():
            array[...] = NOT_RUN
        with trainer.moment:
            try:
                entry.pack(block.address)
                sized.run(block.address, WORKER, WORKERS)
            finally:
                if settle is not None and float(found[NORM]) != NOT_RUN:
                    settle(found)
        return found


class Way:
    """One way to step: with states as declared, or carried on from the step before."""

    def __init__(self, trainer: Trainer, lowered: Lowered, compiled: CompiledGraph, states: str) -> None:
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
        self.native = Native(compiled, tuple(outputs))
        kinds = compiled.kinds()
        given = self.states if states == GIVEN else ()
        self.given = {name: kinds[name] for name in given if name in kinds}
        self.own = frozenset((*kinds.keys() - trainer.program.training.takes(), *given))
        self._known = KnownShapes()

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
        self,
        trainer: Trainer,
        arrays: dict[str, np.ndarray],
        states: Mapping[str, np.ndarray],
        where: Where | None,
        settle: Settle,
    ) -> dict[str, np.ndarray]:
        entry, sized = self.entry(trainer, arrays, where)
        self.check_states(states, sized.sizes, where)
        return self.native.run(trainer, {**arrays, **states} if states else arrays, entry, sized, settle)

    def entry(
        self, trainer: Trainer, arrays: Mapping[str, np.ndarray], where: Where | None
    ) -> tuple[NativeEntry, Sized]:
        """For these feeds, which are checked."""
        compiled, outputs = self.native.compiled, self.native.outputs
        return self._known.entry(
            None, arrays, compiled, outputs,
            lambda: trainer.program.training.sizes(arrays, outputs, where, compiled, self.own), where,
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
