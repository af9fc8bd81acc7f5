"""Where batch and time lie in what the graphs of a program take, as the training graph says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from .examples import Layout, as_array


@dataclass(frozen=True)
class GraphInputs:
    """What callers may feed to one graph. types: by name."""

    optimized: OptimizedGraph
    types: Mapping[str, TensorType]


@dataclass(frozen=True)
class ProgramInputs:
    """What the graphs of a program take. names: how feeds are named. defaults: names of what need not be fed."""

    names: FeedNames
    inference: GraphInputs
    evaluation: GraphInputs
    training: GraphInputs
    defaults: frozenset[str]


def layout_of(inputs: ProgramInputs, *, only_run: bool = False) -> Layout:
    """The axes of what the training graph takes; with ``only_run`` those of what the inference graph does."""
    training, taker = inputs.training, inputs.inference if only_run else inputs.training
    names = likely_names(training.optimized)
    graph = with_sizes(training.optimized.graph, names)
    types = {name: substitute_attribute(kind, names) for name, kind in training.types.items()}
    times = lengths_of(graph)
    declared, batches = declared_lengths(graph), state_rows(graph)
    first = {name: axis_beside_names(kind.shape, times) for name, kind in types.items()}
    if not batches:  # nothing recurs: the first axis of what is fed is the batch
        firsts = {types[name].shape[axis] for name, axis in first.items() if axis is not None}
        batches = {dim for dim in firsts if isinstance(dim, Size)} or firsts  # beside open sizes a declared one is none
    batch_axis = {
        name: axis if axis is not None and types[name].shape[axis] in batches else None for name, axis in first.items()
    }
    time_axis = {name: time_axis_of_fed(kind.shape, batch_axis[name], times, declared) for name, kind in types.items()}
    if only_run:  # examples of one size share a batch, and so any open size may differ from example to example
        time_axis |= {
            name: open_axis_of_fed(kind.shape, batch_axis[name])
            for name, kind in types.items()
            if time_axis[name] is None
        }
    return Layout(
        {name: types[name] for name in taker.types}, batch_axis, time_axis, inputs.defaults,
        sequence_lengths(taker.optimized), taker.optimized.kind, only_run,
    )  # fmt: skip


def likely_names(optimized: OptimizedGraph) -> dict[str, Dim]:
    """What names of sizes most likely stand for, as of labels of [batch, time] flattened beside logits of as many."""
    _, likely = optimized.equalities(tuple(name for name, _ in optimized.graph.outputs))
    return {name: dim for name, dim in likely.items() if not isinstance(dim, int)}


def without_training(layout: Layout, inputs: ProgramInputs) -> Layout:
    """The layout of examples that losses and metrics are measured on: what only training takes may be left out."""
    measured = inputs.evaluation.types
    idle = {name for name in layout.types if name not in measured}
    return replace(layout, defaults=layout.defaults | idle)


def sequence_lengths(optimized: OptimizedGraph) -> dict[str, Dim]:
    """The placeholders that a graph reads as ``sequence_length``, with the steps that they count."""
    outputs = tuple(name for name, _ in optimized.graph.outputs)
    return {item.label: item.low for item in optimized.preconditions(outputs) if item.text == "sequence_length"}


def lengths_placeholder(
    inputs: ProgramInputs, layout: Layout, given: Any, examples: dict[str, Any], where: Where | None
) -> str | None:
    """The name of the placeholder that takes each row's length; an array of lengths joins ``examples``."""
    read = layout.counts
    if isinstance(given, str | Tensor):
        return inputs.names.name_of(given, where)
    if len(read) != 1:
        if given is None:
            return None
        raise ArgumentError(
            f"lengths= is an array, and {len(read)} placeholders are read as sequence_length; give it among the "
            "examples, by the name of its placeholder",
            where,
        )
    (name,) = read
    if given is None and all(axis is None for key, axis in layout.time_axis.items() if key in layout.types):
        return None  # it counts steps of nothing that is fed, and is fed like all else
    if given is not None:
        examples[name] = as_array("what is given for lengths", given, where)
    return name
