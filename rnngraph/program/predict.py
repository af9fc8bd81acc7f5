"""Inference over many examples. Results are those of running each example alone, in the order of examples.

Examples in a batch have equal lengths, or the graph reads the length of each row. Then they are padded, and results of
padding are cut off. Results are in the order of the examples, whatever the order of execution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

import numpy as np

from ..batching.batches import Batches
from ..batching.clocks import clock_of
from ..batching.examples import Layout
from ..batching.input_axes import layout_of
from ..batching.padding_safety import shows_padding
from ..batching.row_mixing import mixes_rows
from ..batching.sources import BatchSource, Reader, source_of
from ..declare.nest import paths
from ..ir.axes.by_size import axis_of_sizes
from ..ir.graph import Node
from ..ir.types import Dim, Size, evaluate, symbols_of
from ..runtime.calls.results import result_of
from ..support.allocation import empty, reserve
from ..support.errors import GraphError, ShapeError, Where, shown
from ..support.records import dataclass
from .example_inputs import example_inputs
from .inference_graph import InferenceGraph
from .training_graph import TrainingGraph


def predict(
    inference: InferenceGraph[Any],
    evaluation: InferenceGraph[Any],
    training: TrainingGraph[Any],
    examples: Any,
    lengths: Any,
    batch_size: Any,
    where: Where | None,
) -> Any:
    """Implement ``Program.predict``. Feeds that only ``evaluation`` or ``training`` reads are ignored."""
    inputs = example_inputs(inference, evaluation, training)
    layout = layout_of(inputs, only_run=True)
    declared = _declared_batch(layout, where)
    outputs = outputs_of(inference, layout, where)
    each = {output.name: Collected(output) for output in outputs if output.batch_axis is not None}
    names = tuple(each)
    source = source_of(Reader(inputs, layout, lengths, where, {"shuffle": False}), examples, batch_size)
    mixed = bool(names) and mixes_rows(inference.compiled.pruned(names), _batch_symbols(layout))
    shows = cache(lambda clock: shows_padding(inference.compiled.graph, names, clock, layout.counts))
    done, sizes, wholes = 0, {}, {}
    for part in _parts(source):
        sizes, wholes, steps = part.known_sizes(), part.wholes(), part.real_steps()
        separate_clocks = steps.keys() - part.fed_clocks() | {
            clock for item in each.values() for clock in item.output.uncut
        }
        differ = {clock for clock, known in steps.items() if (known != known[:1]).any()}
        separate_clocks |= {clock for clock in differ - separate_clocks if shows(clock)}
        size = declared or (1 if part is source and mixed else part.batch_size)
        left = part.count
        for rows, filled in _ordered(steps, separate_clocks, part.count, size, declared) if names else ():
            values = inference.values(part.feeds(filled), names, where)
            left -= len(rows)
            for name, item in each.items():
                item.add_batch(rows + done, values[name], {clock: known[rows] for clock, known in steps.items()}, left)
        done += part.count
    same = tuple(output.name for output in outputs if output.batch_axis is None)
    results: dict[str, Any] = inference.values(wholes, same, where) if same else {}
    results |= {name: item.result(done, sizes) for name, item in each.items()}
    return result_of(inference.structure, [results[path] for path, _ in paths(inference.structure)])


# Outputs of a graph -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """Output of the graph. ``batch_axis`` is the axis of examples; None if the output is equal for all examples."""

    name: str
    node: Node
    batch_axis: int | None

    @property
    def example_shape(self) -> tuple[Dim, ...]:
        """Shape of one example's result."""
        return tuple(dim for axis, dim in enumerate(self.node.shape) if axis != self.batch_axis)

    @cached_property
    def uncut(self) -> set[str]:
        """Sizes of axes that cannot be cut to an example's length: they are not a number of steps plus a constant."""
        dims = [dim for dim in self.example_shape if isinstance(dim, Size) and not _is_steps(dim)]
        return {name for dim in dims for name in symbols_of(dim)}


def _is_steps(dim: Dim) -> bool:
    """True if a size is the length of a time axis, plus or minus a constant."""
    return len(symbols_of(dim)) == 1 and clock_of(dim).name in symbols_of(dim)


def outputs_of(inference: InferenceGraph[Any], layout: Layout, where: Where | None) -> list[Output]:
    """Return all outputs, each with its axis of examples or None. Raise ``GraphError`` if one mixes examples."""
    compiled = inference.compiled
    axes = {name: layout.batch_axis.get(name) for name in layout.types}
    batches = _batch_dims(layout)
    differ = {name for name, axis in axes.items() if axis is not None or layout.time_axis.get(name) is not None}
    outputs = []
    for name, node in compiled.graph.outputs:
        read = [label for label in compiled.needed((name,)) if label in differ]
        axis = axis_of_sizes(node.shape, batches)
        if not read and (axis is None or isinstance(node.shape[axis], int)):
            outputs.append(Output(name, node, None))
            continue
        rest = {name for other, dim in enumerate(node.shape) if other != axis for name in symbols_of(dim)}
        if axis is None or rest & _batch_symbols(layout):
            raise GraphError(
                f"output {shown(name)} (declared at {node.where}) can't be split into examples: it is "
                f"{node.tensor}, with no axis that numbers them, and depends on {', '.join(read)}; compile "
                "without it, or call program.inference with one batch",
                where,
            )
        outputs.append(Output(name, node, axis))
    return outputs


def _batch_dims(layout: Layout) -> set[Dim]:
    """Return the sizes of the axes that number examples."""
    axes = {name: layout.batch_axis.get(name) for name in layout.types}
    return {layout.types[name].shape[axis] for name, axis in axes.items() if axis is not None}


def _batch_symbols(layout: Layout) -> set[str]:
    return {name for dim in _batch_dims(layout) for name in symbols_of(dim)}


class Collected:
    """Results of one output, collected row by row."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._blocks: list[tuple[np.ndarray, np.ndarray]] = []
        self._purpose = f"the output {shown(output.name)} of predict"

    def add_batch(self, rows: np.ndarray, values: np.ndarray, steps: Mapping[str, np.ndarray], left: int) -> None:
        """Store one batch's results of an output, cut to each example's number of steps.

        Args:
            rows: Indices of the examples.
            values: Results.
            steps: Steps of each row, by clock.
            left: Number of remaining examples, for which memory is reserved.
        """
        assert self.output.batch_axis is not None
        block = np.moveaxis(values, self.output.batch_axis, 0)[: len(rows)]
        reserve(left * (block.nbytes // max(len(block), 1)), self._purpose)
        ends = [self._ends(axis, dim, block, steps) for axis, dim in enumerate(self.output.example_shape, 1)]
        if all((end == extent).all() for end, extent in zip(ends, block.shape[1:], strict=True)):
            self._blocks.append((rows, block))
            return
        for place, row in enumerate(rows):
            cut = block[place][tuple(slice(int(end[place])) for end in ends)]
            self._blocks.append((row[None], cut[None].copy()))  # a copy, so that the padded array can be freed

    def _ends(self, axis: int, dim: Dim, block: np.ndarray, steps: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return, for each row, the end of the valid part of an axis: its number of ``steps``, or the whole axis."""
        clock = clock_of(dim)
        if not _is_steps(dim) or clock.name not in steps:
            return np.full(len(block), block.shape[axis])
        return steps[clock.name] + clock.offset

    def result(self, count: int, sizes: Mapping[str, int]) -> np.ndarray | list[np.ndarray]:
        """Return one array with ``count`` examples as the first axis, or a list if their shapes differ."""
        shapes = {block.shape[1:] for _, block in self._blocks}
        if len(shapes) > 1:
            items: list[Any] = [None] * count
            for rows, block in self._blocks:
                for row, item in zip(rows, block, strict=True):
                    items[row] = np.array(item, order="C")
            return items
        dims = self.output.example_shape
        none = tuple(max(0, evaluate(dim, {name: sizes.get(name, 0) for name in symbols_of(dim)})) for dim in dims)
        whole = empty((count, *(shapes.pop() if shapes else none)), self.output.node.dtype, self._purpose)
        for rows, block in self._blocks:
            whole[rows] = block
        return whole


# Batches ----------------------------------------------------------------------------------------


def _parts(source: BatchSource) -> Iterator[Batches]:
    """Yield all examples at once, or batch by batch for an iterable."""
    if isinstance(source, Batches):
        yield source
        return
    for batch in source.epoch(0):
        yield batch.examples


def _ordered(
    steps: Mapping[str, np.ndarray], aligned_clocks: set[str], count: int, size: int, declared: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each batch (indices of its examples, these indices filled up to the size of the batch).

    Computing a few redundant rows is cheaper than compiling for another size. The last of several batches repeats rows,
    and small groups are filled up to powers of 2.

    Args:
        aligned_clocks: Clocks for which all rows of a batch must have the same number of steps.
    """
    keys = [known for clock, known in steps.items() if clock in aligned_clocks]
    others = [known for clock, known in steps.items() if clock not in aligned_clocks]
    order = np.lexsort([*others, *keys]) if steps else np.arange(count)
    changes = np.zeros(max(count - 1, 0), bool)
    for known in keys:
        changes |= known[order][1:] != known[order][:-1]
    groups = np.split(order, np.flatnonzero(changes) + 1) if count else []
    for group in groups:
        for start in range(0, len(group), size):
            stop = min(start + size, len(group))
            rows = group[max(0, stop - size) : stop]
            wanted = declared or (min(size, 1 << (len(rows) - 1).bit_length()) if len(groups) > 1 else len(rows))
            yield rows, np.concatenate([rows, np.repeat(rows[-1:], wanted - len(rows))])


def _declared_batch(layout: Layout, where: Where | None) -> int | None:
    """Return the declared number of rows; None if batches may have any number of rows."""
    batches = {dim for dim in _batch_dims(layout) if isinstance(dim, int)}
    if len(batches) > 1:
        sizes = ", ".join(map(str, sorted(batches)))
        raise ShapeError(f"placeholders are declared with different batches, {sizes}; declare one for all", where)
    return batches.pop() if batches else None
