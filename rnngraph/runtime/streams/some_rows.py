"""Steps of a subset of a stream's rows, which compute only these rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from ..calls.prepared_call import CallSpec
from ..calls.results import result_builder
from ..calls.signatures import is_like
from ..parameters import Parameters
from .row_graph import RowPort
from .row_steps import RowSteps
from .states import States
from .step_graph import StepGraph


class SomeRows:
    """Steps of a subset of rows, with feeds of one signature, that update the stream's states in place."""

    def __init__(
        self,
        graph: StepGraph,
        parameters: Parameters,
        spec: CallSpec,
        states: States,
        held_feeds: Mapping[str, np.ndarray],
    ) -> None:
        """Compile the step.

        Args:
            spec: Spec of a step of all rows.
            held_feeds: All feeds of the stream without a time axis.
        """
        self._graph, self._parameters, self._spec = graph, parameters, spec
        self._states, self._held_feeds = states, held_feeds
        self._steps = self._compiled_steps()
        self._side = -1
        self._queue: deque[ndarray] = deque()
        self._give = result_builder(spec.structure, [self._queue.popleft] * len(spec.leaves))

    def _compiled_steps(self) -> RowSteps:
        graph, sizes = self._graph, self._spec.sized.sizes
        others = {name: size for name, size in sizes.items() if name not in graph.rows.names | graph.rows.lengths}
        shared = {
            name: array
            for name, array in self._held_feeds.items()
            if graph.rows.port(name, graph.types[name], None, others).axis is None
        }
        return RowSteps(graph, self._parameters, others, shared)

    def fill(self, feeds: Mapping[str, Any], rows: ndarray) -> bool:
        """Copy the feeds of these rows. Return False if they do not match the signature.

        Raises:
            ShapeError: A feed's values are out of range.
        """
        steps, count = self._steps, len(rows)
        for name, feed in self._spec.feeds.items():
            value = feeds.get(name)
            if type(value) is not ndarray or not is_like(value, feed):
                return False
        steps.make_room(count)
        for name, port in steps.inputs.items():
            steps.fed[name][:count] = port.rows_first(feeds[name])[rows]
        steps.check(steps.fed, count)
        return True

    def run(self, rows: ndarray) -> None:
        """Step these rows of the present states in place."""
        steps, states = self._steps, self._states
        if self._side != states.side:
            stored = {
                name: port.rows_first(self._held_feeds[name])
                for name, port in steps.stored.items()
                if name not in steps.states
            }
            steps.set_tables({**stored, **dict(zip(steps.states, states.present, strict=True))})
            self._side = states.side
        steps.rows[: len(rows)] = rows
        steps.run(len(rows))

    def collect(self, rows: ndarray, arrays: list[Any] | None) -> Any:
        """Return the results of these rows, and zeros for other rows. Outputs without a row axis are returned whole.

        Results are written to ``arrays``, one for each leaf. New arrays are created in place of None, and if ``arrays``
        is None.

        Raises:
            NonFiniteError: A row drew from NaN logits.
            ShapeError: A row has taken more steps than a table has positions.
        """
        steps, spec, count = self._steps, self._spec, len(rows)
        self._queue.clear()
        for leaf, name in enumerate(spec.leaves):
            port, array = steps.outputs[name], None if arrays is None else arrays[leaf]
            if array is None:
                array = np.zeros(*spec.results[name])
            else:
                array[...] = 0
            _write(array, port, rows, steps.result_arrays[name][:count])
            self._queue.append(array)
        steps.check_draws(spec.leaves, slice(count))
        return self._give()


def _write(array: ndarray, port: RowPort, rows: ndarray, values: ndarray) -> None:
    if port.axis is not None:
        port.rows_first(array)[rows] = values
    elif len(rows):  # the rows share one result
        array[...] = values[0]
