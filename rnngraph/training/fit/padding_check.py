"""Checks that padding does not change a loss or metrics, on the first padded batch.

If the graph does not prove it, the loss and metrics of the batch's shortest row are computed with and without padding.
Parameters are changed at random first, because padding may have no effect with special values such as 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...batching.batches import Batch
from ...batching.clocks import clock_of
from ...batching.further_padding import Feeds, PaddedRow, TimeAxes, padded_row
from ...batching.input_axes import sequence_lengths
from ...batching.padding_safety import unproven
from ...ir.graph import Node
from ...program.inference_graph import InferenceGraph
from ...program.program import Program
from ...runtime.parameters import Parameters
from ...support.errors import GraphError, RnnGraphError, Where

TOLERANCE = 3e-5
"""Maximum relative difference that counts as rounding. Sums over more steps may be added in another order."""
NOISE = 0.3
"""Standard deviation of the relative change of parameters. With biases of 0, padding with 0 may have no effect."""
MAX_LINES = 3


class PaddingCheck:
    """Check that padding along time does not change a graph's outputs.

    Inputs that share a size of time are padded together. Such a size is called a clock, and is checked once.

    Args:
        program: Program of the graph.
        graph: Graph without dropout.
        names: {output of the graph to check: its description in errors}.
        where: The user's call.
    """

    def __init__(self, program: Program, graph: InferenceGraph, names: Mapping[str, str], where: Where | None) -> None:
        self._program, self._graph, self._names, self.where = program, graph, names, where
        self._settled: set[str] = set()
        self._counts = sequence_lengths(graph.compiled)
        self._trial: InferenceGraph | None = None

    def check(self, batch: Batch) -> None:
        """Raise ``GraphError`` if padding in this batch changes an output. Each clock is checked only once."""
        for clock in batch.examples.real_steps(batch.rows[:1]).keys() - self._settled:
            row = padded_row(batch, clock)
            if row is None:
                continue
            for name, what in self._names.items():
                breaks = self._breaks(name, row.sequences)
                if breaks and (values := self._differing(name, row)) is not None:
                    raise GraphError(self._text(what, row, values, breaks), self.where)
            self._settled.add(clock)
            self._trial = None  # frees the changed parameters

    def _clocks(self, sequences: Mapping[str, TimeAxes]) -> set[str]:
        """Return the clocks of these inputs, by the names that this graph has for them."""
        types = self._graph.input_types()
        return {clock_of(types[name].shape[axes.time]).name for name, axes in sequences.items() if name in types}

    def _breaks(self, name: str, sequences: Mapping[str, TimeAxes]) -> list[Node]:
        """Return the nodes because of which the graph does not prove that padding leaves an output unchanged."""
        graph = self._graph.compiled.graph
        return [node for clock in self._clocks(sequences) for node in unproven(graph, (name,), clock, self._counts)]

    def _differing(self, name: str, row: PaddedRow) -> tuple[float, float] | None:
        """Return (output for a row without padding, with padding); None if they are equal up to rounding.

        Return None also if the values are not finite, or if they change as a mean over all steps does.
        """
        for graph in (self._perturbed(), self._graph):
            values = [self._value(graph, name, feeds) for feeds in (row.alone(), row.feeds, row.padded_further())]
            known = [value for value in values if value is not None]
            if np.isfinite(known).all():
                break
        else:
            return None
        if len(known) < 2 or _close(known):
            return None
        refilled = self._value(graph, name, row.refilled())
        same = values[1] is not None and refilled is not None and _close([values[1], refilled])
        extents = row.steps, row.padded, row.further
        for offset in row.offsets:
            sizes = [extent + offset for extent, value in zip(extents, values, strict=True) if value is not None]
            if _is_mean(known, sizes, same):
                return None
        return known[0], known[1]

    def _value(self, graph: InferenceGraph, name: str, feeds: Feeds) -> float | None:
        """Return the mean of an output for these feeds; None if it cannot be computed, as beyond a limit of steps."""
        takes = graph.input_names()
        fed = {key: array for key, array in feeds.items() if key in takes}
        try:
            return float(graph.values(fed, (name,), self.where)[name].mean(dtype=np.float64))
        except RnnGraphError:
            return None

    def _perturbed(self) -> InferenceGraph:
        """Return the graph with randomly changed parameters, compiled without quantization, and built on first use."""
        if self._trial is None:
            parts = self._program.parts
            generator = np.random.default_rng(0)
            values = {name: _changed(array, generator) for name, array in parts.parameters.items()}
            parameters = Parameters(parts.lowered.slots, 0, values=values)
            program: Program = Program(parts.source, parameters, 0, parts.options.plain())
            self._trial = getattr(program, self._graph.part)
        return self._trial

    def _text(self, what: str, row: PaddedRow, values: tuple[float, float], breaks: Iterable[Node]) -> str:
        """Return the error text for an output that padding changes.

        Args:
            what: Description of the output.
            row: The padded row.
            values: The output without and with padding.
            breaks: Nodes because of which the proof fails.
        """
        lines = list(dict.fromkeys(str(node.where) for node in breaks if node.where is not None))
        declared = f" (declared at {', '.join(lines[:MAX_LINES])})" if lines else ""
        clocks = self._clocks(row.sequences)
        lengths = next((label for label, dim in self._counts.items() if clock_of(dim).name in clocks), "lengths")
        return (
            f"padding shows in {what}{declared}: for example {row.example} ({row.steps} steps), it is {values[0]:.6g} "
            f"without padding, and {values[1]:.6g} with padding to {row.padded} steps (after a random change of "
            f"parameters); take the last step by rg.gather_last(outputs, {lengths}), or the final state; pass "
            f"lengths={lengths} to losses and rg.accuracy; for a mean over time, divide the sum of outputs, which are "
            f"0 past a row's end, by {lengths}"
        )


def _changed(array: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return a float array with random relative changes, where zeros become random values. Others stay unchanged."""
    if array.dtype.kind != "f":
        return array
    noise = generator.standard_normal(array.shape)
    return np.asarray(np.where(array == 0, NOISE * noise, array * (1 + NOISE * noise)), array.dtype)


def _close(values: Sequence[float]) -> bool:
    """True if values differ by no more than rounding."""
    return max(values) - min(values) <= TOLERANCE * max(map(abs, values))


def _is_mean(values: Sequence[float], sizes: Sequence[int], same: bool) -> bool:
    """True if values are linear in 1 / (number of steps), like a mean over all steps, which padding may change.

    Args:
        values: Values of an output for several padded lengths.
        sizes: Number of steps of each padded length.
        same: True if padding with other numbers has the same result.
    """
    if min(sizes) < 1:
        return False
    if _close([value * size for value, size in zip(values, sizes, strict=True)]):
        return True
    if len(values) < 3 or not same:
        return False
    first, *others = (1 / size for size in sizes)
    slope = (values[1] - values[0]) / (others[0] - first)
    return _close([values[0] + slope * (others[1] - first), values[2]])
