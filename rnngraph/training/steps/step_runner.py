"""Native steps: the graph of a variant, its entries by sizes, and their runners."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.nest import flatten
from ...ir.graph import topological
from ...ir.types import evaluate
from ...passes.lowering.lowered import FED, Lowered
from ...passes.train_step import NEW, NORM, SLOT, SUM
from ...runtime.calls.entries_by_shape import EntriesByShape
from ...runtime.calls.prepared_call import CallInputs, CallResults, CallSpec, PreparedCall, spec_of
from ...runtime.calls.runner import Commit, CommitGuard, Runner
from ...runtime.native.argument_block import ArgumentBlock
from ...runtime.native.compiled_graph import CompiledGraph
from ...runtime.native.entry import NativeEntry, ShapeInstance
from ...support.bounded_cache import BoundedCache
from ...support.errors import GraphError, ShapeError, Where
from .batch_rows import require_rows
from .fetches import FETCH, Fetch
from .step_buffers import StepMemory, StepTarget
from .train_state import TrainState

MAX_MEMORIES = 8
"""Maximum compiled functions for which a trainer keeps memory of packed weights and temporaries."""


class NativeStep:
    """Compiled graph of a trainer, which provides the argument blocks of its calls.

    Each call packs the weights again, because updates change them.

    Args:
        target: Owner of the arrays to which new values are written.
        compiled: The compiled graph.
        outputs: Outputs to compute.
        own: Function that returns the inputs besides parameters and feeds.
    """

    is_shared = False

    def __init__(
        self,
        target: StepTarget,
        compiled: CompiledGraph,
        outputs: tuple[str, ...],
        own: Callable[[], Mapping[str, np.ndarray]] = dict,
    ) -> None:
        self.compiled, self.outputs, self._target, self._own = compiled, outputs, target, own
        self._memory: BoundedCache[NativeEntry, StepMemory] = BoundedCache(MAX_MEMORIES)

    def prepared(
        self,
        entry: NativeEntry,
        sized: ShapeInstance,
        names: Mapping[Any, str],
        arrays: Mapping[str, np.ndarray],
        seeded: bool = False,
        shares: Sequence[str] = (),
        draw: Callable[[], int] | None = None,
    ) -> Runner:
        """Return a runner of calls with inputs of these shapes.

        Args:
            entry: The entry to call.
            sized: The entry's instance for the inputs' shapes.
            names: Names of inputs, by the feed's key.
            arrays: Inputs of the first call, by name.
            seeded, shares: As for ``CallSpec``.
            draw: Function that returns a seed for calls without one.
        """
        leaves = [name for name in entry.output_slots if not name.startswith((NEW, SUM, SLOT))]
        ranges = self.compiled.range_preconditions(self.outputs)
        inputs = CallInputs(names, arrays, seeded)
        spec = spec_of(entry, sized, inputs, CallResults.by_name(leaves), ranges, shares=shares)
        threads, target = self.compiled.options.threads, self._target
        return Runner(spec, self, threads, draw, commits=CommitGuard(target.interrupt, NORM))

    def once(
        self, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int], commit: Commit | None = None
    ) -> dict[str, np.ndarray]:
        """Run a single call with validated inputs, and return its results by name.

        Args:
            arrays: Inputs by name.
            sizes: Numbers of the symbolic sizes.
            commit: Function of the results that is called when they take effect.
        """
        entry = self.compiled.entry(self.outputs, sizes)
        runner = self.prepared(entry, entry.sized(sizes), {name: name for name in arrays}, arrays)
        results: dict[str, np.ndarray] | None = runner.run(arrays, commit=commit)
        assert results is not None, "the runner was prepared for these inputs"
        return results

    def memory(self, entry: NativeEntry) -> StepMemory:
        """Return the memory that all calls of an entry share. It is allocated on first use."""
        kept = self._memory.get(entry)
        if kept is None:
            kept = self._memory[entry] = StepMemory(entry)
        return kept

    def call(self, spec: CallSpec) -> PreparedCall:
        return PreparedCall(spec)

    def block(self, call: PreparedCall, arrays: list[Any] | None) -> tuple[ArgumentBlock, object]:
        entry = call.spec.entry
        _, parameters = self._target.program.parameters.snapshot()  # arrays of one consistent moment
        memory = self._memory.get(entry) or self.memory(entry)
        block = memory.block(call, self._target, parameters, self._own())
        entry.pack(block)
        return block, parameters

    def record_run(self, call: PreparedCall, arrays: list[Any] | None, context: object) -> None:
        """Do nothing: values are replaced when results are committed."""


class StepVariant:
    """Compiled step of a trainer that starts from declared states, or from those of the previous step."""

    def __init__(
        self,
        state: TrainState,
        lowered: Lowered,
        compiled: CompiledGraph,
        states: str,
        fed: Collection[str],
        fetch: Fetch | None,
    ) -> None:
        """Build a variant.

        Args:
            state: State of the trainer.
            lowered: Lowered declaration of the step.
            compiled: Compiled graph of the step.
            states: ``SHOWN`` to start from declared states, ``FED`` to start from fed ones.
            fed: Names of the inputs that callers feed.
            fetch: Results besides the loss; None for none.
        """
        self.fetch = fetch
        graph = compiled.graph
        declared = compiled.lowered
        reached = set(topological([declared.output("loss")]))
        labels = [label for nest in lowered.states for label in flatten(nest)]
        # only states that the loss depends on are carried, and only forward in time
        scans = {label: declared.output(label).operands[0] for label in labels}
        scans = {label: scan for label, scan in scans.items() if scan in reached}
        self.backward = [scan.where for scan in scans.values() if scan["reverse"]]
        self.states = tuple(scans) if not self.backward else ()
        ours = (NEW, SLOT, SUM, FETCH)
        outputs = [name for name, _ in graph.outputs if name.startswith(ours) or name in ("loss", NORM, *self.states)]
        self.native = NativeStep(state, compiled, tuple(outputs), state.inputs)
        types = compiled.input_types()
        fed_states = self.states if states == FED else ()
        self.state_inputs = {name: types[name] for name in fed_states if name in types}
        self.own = frozenset((*(types.keys() - set(fed)), *fed_states))
        labels_read = compiled.needed(self.native.outputs) if states == FED else ()
        self._unstarted = [label for label in labels_read if label in labels]
        self._known = EntriesByShape()

    def check_carries(self, where: Where | None) -> None:
        """Raise ``GraphError`` if the step has no states for ``carry=True``, or states that cannot be carried."""
        if self.backward:
            raise GraphError(
                f"carry=True can't carry a backward recurrence (declared at {self.backward[0]}): its state comes from "
                "the end of the sequence; leave carry out",
                where,
            )
        if unstarted := [label for label in self._unstarted if label not in self.states]:
            raise GraphError(
                f"carry=True has no initial value for {', '.join(unstarted)}, which a fetched value needs "
                "and the loss does not; fetch only values that the loss depends on",
                where,
            )
        if not self.states:
            raise GraphError("carry=True has no state to carry: the loss reads no recurrence; leave carry out", where)

    def entry(
        self, state: TrainState, arrays: Mapping[str, np.ndarray], where: Where | None
    ) -> tuple[NativeEntry, ShapeInstance]:
        """Return (entry, its instance for the shapes of the feeds ``arrays``). Raise an error for invalid feeds."""
        compiled, outputs = self.native.compiled, self.native.outputs

        def sizes() -> Mapping[str, int]:
            require_rows(state.program, arrays, where)
            return state.program.training.sizes(arrays, outputs, where, compiled, self.own)

        return self._known.entry(None, arrays, compiled, outputs, sizes)

    def check_states(self, states: Mapping[str, np.ndarray], sizes: Mapping[str, int], where: Where | None) -> None:
        """Raise ``ShapeError`` if carried states have another number of rows than the feeds, whose sizes are given."""
        for name, kind in self.state_inputs.items():
            wanted = tuple(evaluate(dim, sizes) for dim in kind.shape)
            if states[name].shape != wanted:
                raise ShapeError(
                    f"carry=True continues {states[name].shape[0]} rows, and this step feeds {wanted[0]}; feed "
                    f"{states[name].shape[0]} rows, or call reset() to start from declared states",
                    where,
                )
