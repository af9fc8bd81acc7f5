"""Where batch and time lie in the placeholders of a program, as its graph says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..declare.tensor import Tensor
from ..errors import ArgumentError, Where
from ..ir.axes import (
    axis_beside_names,
    declared_lengths,
    lengths_of,
    open_axis_of_fed,
    state_rows,
    time_axis_of_fed,
)
from ..ir.graph import substitute_attribute, with_sizes
from ..ir.types import Dim, Size
from ..program.callable_graph import GraphProgram
from ..program.program import Program
from .examples import Layout, as_array


def layout_of(program: Program, *, only_run: bool = False) -> Layout:
    """The axes of what the training graph takes; with ``only_run`` those of what the inference graph does."""
    training, taker = program.training, program.inference if only_run else program.training
    graph = training.compiled.graph
    _, likely = training.compiled.equalities(tuple(name for name, _ in graph.outputs))
    names = {name: dim for name, dim in likely.items() if not isinstance(dim, int)}
    graph = with_sizes(graph, names)  # labels of [batch, time] flattened beside logits of [batch, time]
    kinds = {name: substitute_attribute(kind, names) for name, kind in training.kinds().items()}
    times = lengths_of(graph)
    declared, batches = declared_lengths(graph), state_rows(graph)
    first = {name: axis_beside_names(kind.shape, times) for name, kind in kinds.items()}
    if not batches:  # nothing recurs: the first axis of what is fed is the batch
        firsts = {kinds[name].shape[axis] for name, axis in first.items() if axis is not None}
        batches = {dim for dim in firsts if isinstance(dim, Size)} or firsts  # beside open sizes a declared one is none
    batch_axis = {
        name: axis if axis is not None and kinds[name].shape[axis] in batches else None for name, axis in first.items()
    }
    time_axis = {name: time_axis_of_fed(kind.shape, batch_axis[name], times, declared) for name, kind in kinds.items()}
    if only_run:  # examples of one size share a batch, and so any open size may differ from example to example
        time_axis |= {
            name: open_axis_of_fed(kind.shape, batch_axis[name])
            for name, kind in kinds.items()
            if time_axis[name] is None
        }
    return Layout(
        {name: kinds[name] for name in taker.takes()}, batch_axis, time_axis, frozenset(program.lowered.defaults),
        sequence_lengths(taker), taker.kind, only_run,
    )  # fmt: skip


def without_training(layout: Layout, program: Program) -> Layout:
    """The layout of examples that losses and metrics are measured on: what only training takes may be left out."""
    measured = program.evaluation.takes()
    idle = {name for name in layout.kinds if name not in measured}
    return replace(layout, defaults=layout.defaults | idle)


def sequence_lengths(graph: GraphProgram) -> dict[str, Dim]:
    """The placeholders that a graph reads as ``sequence_length``, with the steps that they count."""
    compiled = graph.compiled
    outputs = tuple(name for name, _ in compiled.graph.outputs)
    return {check.label: check.low for check in compiled.checks(outputs) if check.text == "sequence_length"}


def lengths_placeholder(
    program: Program, layout: Layout, given: Any, examples: dict[str, Any], where: Where | None
) -> str | None:
    """The name of the placeholder that takes each row's length; an array of lengths joins ``examples``."""
    read = layout.counts
    if isinstance(given, str | Tensor):
        return program.feed_name(given, where)
    if len(read) != 1:
        if given is None:
            return None
        raise ArgumentError(
            f"lengths= is an array, and {len(read)} placeholders are read as sequence_length; give it among the "
            "examples, by the name of its placeholder",
            where,
        )
    (name,) = read
    if given is None and all(axis is None for key, axis in layout.time_axis.items() if key in layout.kinds):
        return None  # it counts steps of nothing that is fed, and is fed like all else
    if given is not None:
        examples[name] = as_array("what is given for lengths", given, where)
    return name
