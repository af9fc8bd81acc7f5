"""Batch axes and time axes of a program's inputs, inferred from the training graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..declare.tensor import Tensor
from ..ir.axes.by_size import (
    axis_beside_names,
    declared_lengths,
    lengths_of,
    open_axis_of_fed,
    state_rows,
    time_axis_of_fed,
)
from ..ir.graph import substitute_attribute, with_sizes
from ..ir.types import Dim, Size, TensorType
from ..runtime.calls.feed_names import FeedNames
from ..runtime.native.optimized_graph import OptimizedGraph
from ..support.errors import ArgumentError, Where
from ..support.records import dataclass
from .examples import Layout, as_array


@dataclass(frozen=True)
class GraphInputs:
    """Graph with the types of its inputs."""

    optimized: OptimizedGraph
    types: Mapping[str, TensorType]


@dataclass(frozen=True)
class ProgramInputs:
    """Inputs of a program, by graph.

    Attributes:
        names: Names of the feeds.
        inference: Inputs of the inference graph.
        evaluation: Inputs of the graph that computes losses and metrics.
        training: Inputs of the training graph.
        defaults: Names of inputs that need not be fed.
    """

    names: FeedNames
    inference: GraphInputs
    evaluation: GraphInputs
    training: GraphInputs
    defaults: frozenset[str]


def layout_of(inputs: ProgramInputs, *, only_run: bool = False) -> Layout:
    """Return the batch and time axis of each input of the training graph, or with ``only_run`` the inference graph."""
    training, consumer = inputs.training, inputs.inference if only_run else inputs.training
    names = likely_names(training.optimized)
    graph = with_sizes(training.optimized.graph, names)
    types = {name: substitute_attribute(kind, names) for name, kind in training.types.items()}
    times = lengths_of(graph)
    declared, batches = declared_lengths(graph), state_rows(graph)
    first = {name: axis_beside_names(kind.shape, times) for name, kind in types.items()}
    if not batches:  # nothing recurs: the first axis of each feed is the batch
        firsts = {types[name].shape[axis] for name, axis in first.items() if axis is not None}
        batches = {dim for dim in firsts if isinstance(dim, Size)} or firsts  # prefer symbolic sizes to fixed ones
    batch_axis = {
        name: axis if axis is not None and types[name].shape[axis] in batches else None for name, axis in first.items()
    }
    time_axis = {name: time_axis_of_fed(kind.shape, batch_axis[name], times, declared) for name, kind in types.items()}
    if only_run:  # other symbolic axes count as time, because predict groups examples of equal sizes
        time_axis |= {
            name: open_axis_of_fed(kind.shape, batch_axis[name])
            for name, kind in types.items()
            if time_axis[name] is None
        }
    return Layout(
        {name: types[name] for name in consumer.types},
        batch_axis,
        time_axis,
        inputs.defaults,
        sequence_lengths(consumer.optimized),
        consumer.optimized.kind,
        only_run,
    )


def likely_names(optimized: OptimizedGraph) -> dict[str, Dim]:
    """Return {name of a size: size that it probably equals}.

    The length of flattened labels, for example, probably equals the rows times the steps of the logits.
    """
    _, likely = optimized.equalities(tuple(name for name, _ in optimized.graph.outputs))
    return {name: dim for name, dim in likely.items() if not isinstance(dim, int)}


def without_training(layout: Layout, inputs: ProgramInputs) -> Layout:
    """Return a layout in which inputs that only the training graph reads need not be fed."""
    measured = inputs.evaluation.types
    unused = {name for name in layout.types if name not in measured}
    return replace(layout, defaults=layout.defaults | unused)


def sequence_lengths(optimized: OptimizedGraph) -> dict[str, Dim]:
    """Return {``sequence_length`` placeholder: number of steps that bounds its values}."""
    outputs = tuple(name for name, _ in optimized.graph.outputs)
    return {item.label: item.high for item in optimized.preconditions(outputs) if item.text == "sequence_length"}


def lengths_placeholder(
    inputs: ProgramInputs, layout: Layout, lengths: Any, examples: dict[str, Any], where: Where | None
) -> str | None:
    """Return the name of the placeholder that takes row lengths; None if it is not determined.

    Args:
        inputs: Inputs of the program.
        layout: Axes of the placeholders.
        lengths: A placeholder or its name, or an array, which is added to ``examples``. None: the only placeholder that
            is used as ``sequence_length``.
        examples: Examples by placeholder.
        where: The user's line, for errors.

    Returns:
        The name. None if ``lengths`` is None and there is no such placeholder, or several, or no input has a time
        axis.

    Raises:
        ArgumentError: ``lengths`` is an array, and there is no such placeholder, or several.
    """
    read = layout.counts
    if isinstance(lengths, str | Tensor):
        return inputs.names.name_of(lengths, where)
    if len(read) != 1:
        if lengths is None:
            return None
        remedy = "give lengths with the examples, by the name of their placeholder"
        if not read:
            remedy = "declare a placeholder of ints [batch], and give it to the driver as sequence_length"
        raise ArgumentError(
            f"lengths= is an array, but {len(read) or 'no'} placeholders are used as sequence_length; {remedy}", where
        )
    (name,) = read
    if lengths is None and all(axis is None for key, axis in layout.time_axis.items() if key in layout.types):
        return None  # without time axes, the placeholder counts no steps and is an ordinary input
    if lengths is not None:
        examples[name] = as_array("the value of lengths=", lengths, where)
    return name
