"""The end of sequences that a stream runs: what it still owes once the last step is done."""

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
    """Gives what is owed by a step graph's rows."""

    def __init__(self, graph: StepGraph, parameters: Parameters) -> None:
        self._graph, self._parameters = graph, parameters
        self._results = tuple(name for name in graph.outputs if name not in graph.labels)

    @property
    def is_empty(self) -> bool:
        """Whether steps give all as soon as it is fed."""
        return self._graph.tail is None

    def owed(
        self, held: Mapping[str, np.ndarray], left: Mapping[str, np.ndarray], states: Sequence[np.ndarray],
        chosen: np.ndarray, where: Where | None,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """By name, outputs that no step gave. left: entries of sequences. chosen: rows that end, as a mask."""
        about = self._graph
        if about.tail is None:
            return self._nothing(where)
        rests, present = about.tail.rests(left, where), dict(zip(about.labels, states, strict=True))
        about.tail.check_lengths(present, chosen, rests, where)
        graph = about.tail.graph(rests, where)
        kinds = graph.input_types()
        needed = [name for name in graph.needed(self._results) if name in about.types]
        arrays = {**held, **left}
        for name in needed:
            if name not in arrays and (axis := about.time_axis[name]) is not None and kinds[name].shape[axis] == 0:
                arrays[name] = np.empty([evaluate(dim, about.sizes) for dim in kinds[name].shape], kinds[name].dtype)
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise NameLookupError(f"flush needs {', '.join(missing)}: what is left of it, or a step that fed it", where)
        used = {name: arrays[name] for name in needed}
        used |= {name: array for name, array in present.items() if name in kinds}
        sizes = {**solve_sizes(used, kinds, where), **about.sizes}
        graph.check(self._results, used, sizes, where)
        entry = graph.entry(self._results, sizes)
        return run_once(entry, entry.weights(self._parameters), used, sizes)

    def _nothing(self, where: Where | None) -> dict[str, np.ndarray]:
        """Results of no steps, of a stream that owes none."""
        about = self._graph
        for name in self._results:
            if about.output_axis[name] is None:
                raise GraphError(
                    f"output {name or 'of this stream'} has no time axis and is known with every step, as nothing is "
                    "late here; take what the last step gave, and use reset",
                    where,
                )
        kinds = {name: node.tensor for name, node in about.compiled.graph.outputs}
        none = {**about.sizes, **dict.fromkeys(about.lengths, 0)}
        return {
            name: np.zeros([evaluate(dim, none) for dim in kinds[name].shape], kinds[name].dtype)
            for name in self._results
        }
