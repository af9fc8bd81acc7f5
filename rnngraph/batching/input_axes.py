"""Where batch and time lie in what the graphs of a program take, as the training graph says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..declare.tensor import Tensor
from ..errors import ArgumentError, Where
from ..ir.graph import Graph, substitute_attribute, with_sizes
from ..ir.types import Dim, Size, TensorType, symbols_of
from ..runtime.calls.feed_names import FeedNames
from ..runtime.native.optimized_graph import OptimizedGraph, lengths_of
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
    graph = training.optimized.graph
    _, likely = training.optimized.equalities(tuple(name for name, _ in graph.outputs))
    names = {name: dim for name, dim in likely.items() if not isinstance(dim, int)}
    graph = with_sizes(graph, names)  # labels of [batch, time] flattened beside logits of [batch, time]
    types = {name: substitute_attribute(kind, names) for name, kind in training.types.items()}
    times = lengths_of(graph)
    fixed_times, batches = _of_scans(graph)
    first = {name: _first_axis(kind, times) for name, kind in types.items()}
    if not batches:  # nothing recurs: the first axis of what is fed is the batch
        firsts = {types[name].shape[axis] for name, axis in first.items() if axis is not None}
        batches = {dim for dim in firsts if isinstance(dim, Size)} or firsts  # beside open sizes a declared one is none
    batch_axis = {
        name: axis if axis is not None and types[name].shape[axis] in batches else None for name, axis in first.items()
    }
    time_axis = {name: _time_axis(kind, batch_axis[name], times, fixed_times) for name, kind in types.items()}
    if only_run:  # examples of one size share a batch, and so any open size may differ from example to example
        time_axis |= {
            name: _open_axis(kind, batch_axis[name]) for name, kind in types.items() if time_axis[name] is None
        }
    return Layout(
        {name: types[name] for name in taker.types}, batch_axis, time_axis, inputs.defaults,
        sequence_lengths(taker.optimized), taker.optimized.kind, only_run,
    )  # fmt: skip


def without_training(layout: Layout, inputs: ProgramInputs) -> Layout:
    """The layout of examples that losses and metrics are measured on: what only training takes may be left out."""
    measured = inputs.evaluation.types
    idle = {name for name in layout.types if name not in measured}
    return replace(layout, defaults=layout.defaults | idle)


def sequence_lengths(optimized: OptimizedGraph) -> dict[str, Dim]:
    """The placeholders that a graph reads as ``sequence_length``, with the steps that they count."""
    outputs = tuple(name for name, _ in optimized.graph.outputs)
    return {item.label: item.low for item in optimized.preconditions(outputs) if item.text == "sequence_length"}


def _of_scans(graph: Graph) -> tuple[set[Dim], set[Dim]]:
    """The declared numbers of steps of a graph's scans, and the sizes of their batches."""
    scans = [node for node in graph.walk() if node.op == "scan"]
    times: set[Dim] = {node["length"] for node in scans if isinstance(node["length"], int)}
    return times, {node["body"].inputs[0].shape[0] for node in scans if node["carries"]}


def _timed(dim: Dim, times: Iterable[str]) -> bool:
    return bool(symbols_of(dim) & set(times))


def _first_axis(kind: TensorType, times: set[str]) -> int | None:
    """The first axis that is not time."""
    return next((axis for axis, dim in enumerate(kind.shape) if not _timed(dim, times)), None)


def _time_axis(kind: TensorType, batch_axis: int | None, times: set[str], fixed: set[Dim]) -> int | None:
    others = [axis for axis in range(kind.rank) if axis != batch_axis]
    found = [axis for axis in others if _timed(kind.shape[axis], times)]
    found += [axis for axis in others if kind.shape[axis] in fixed and batch_axis is not None]
    return found[0] if found else None


def _open_axis(kind: TensorType, batch_axis: int | None) -> int | None:
    """The first axis beside the batch that has an open size."""
    if batch_axis is None:
        return None
    batch = symbols_of(kind.shape[batch_axis])
    others = [axis for axis, dim in enumerate(kind.shape) if axis != batch_axis and symbols_of(dim) - batch]
    return others[0] if others else None


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
