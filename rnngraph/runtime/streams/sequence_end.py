"""Outputs of a stream that are returned only when a sequence ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...ir.types import evaluate
from ...support.errors import GraphError, NameLookupError, Where
from ..calls.entry_blocks import run_once
from ..calls.feeds import solve_sizes
from ..parameters import Parameters
from .step_graph import StepGraph


class SequenceEnd:
    """Computation of the outputs that are due when a sequence ends."""

    def __init__(self, graph: StepGraph, parameters: Parameters) -> None:
        self._graph, self._parameters = graph, parameters
        self._results = tuple(name for name in graph.outputs if name not in graph.states.labels)

    @property
    def is_empty(self) -> bool:
        """True if no output is due at the end, because each step returns all outputs of its inputs."""
        return self._graph.tail is None

    def due(
        self,
        held_feeds: Mapping[str, np.ndarray],
        left: Mapping[str, np.ndarray],
        states: Sequence[np.ndarray],
        chosen: np.ndarray,
        where: Where | None,
    ) -> dict[str, np.ndarray]:
        """Return the outputs, by name, that no step has returned yet.

        Args:
            held_feeds: Feeds without a time axis.
            left: The remaining entries of the sequences, too few for a whole step.
            states: The present states.
            chosen: Mask of the rows that end.
        """
        step_graph = self._graph
        if step_graph.tail is None:
            return self._empty_outputs(where)
        rests, present = (
            step_graph.tail.remaining_counts(left, where),
            dict(zip(step_graph.states.labels, states, strict=True)),
        )
        step_graph.tail.check_lengths(present, chosen, rests, where)
        graph = step_graph.tail.graph(rests, where)
        kinds = graph.input_types()
        needed = [name for name in graph.needed(self._results) if name in step_graph.types]
        arrays = {**held_feeds, **left}
        for name in needed:
            if (
                name not in arrays
                and (axis := step_graph.axes.feeds[name]) is not None
                and kinds[name].shape[axis] == 0
            ):
                arrays[name] = np.empty(
                    [evaluate(dim, step_graph.sizes) for dim in kinds[name].shape], kinds[name].dtype
                )
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise NameLookupError(
                f"flush needs {', '.join(missing)}; feed its remaining entries, or run a step that feeds it", where
            )
        used = {name: arrays[name] for name in needed}
        used |= {name: array for name, array in present.items() if name in kinds}
        sizes = {**solve_sizes(used, kinds, where), **step_graph.sizes}
        graph.check(self._results, used, sizes, where)
        entry = graph.entry(self._results, sizes)
        results = run_once(entry, entry.weights(self._parameters), used, sizes)
        return {name: results[name] for name in self._results}

    def _empty_outputs(self, where: Where | None) -> dict[str, np.ndarray]:
        """Return empty outputs, for a stream that never returns outputs late."""
        step_graph = self._graph
        for name in self._results:
            if step_graph.axes.outputs[name] is None:
                raise GraphError(
                    f"output {name or 'of this stream'} has no time axis, and every step returns it at once; "
                    "take the result of the last step, and call reset instead of flush",
                    where,
                )
        kinds = {name: node.tensor for name, node in step_graph.compiled.graph.outputs}
        sizes = {**step_graph.sizes, **dict.fromkeys(step_graph.lengths, 0)}
        return {
            name: np.zeros([evaluate(dim, sizes) for dim in kinds[name].shape], kinds[name].dtype)
            for name in self._results
        }
