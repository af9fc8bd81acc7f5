"""An inference graph with its states as inputs and outputs: which axis is time, and which sizes a batch settles."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...declare.nest import flatten
from ...errors import ShapeError, Where
from ...ir.axes import axis_of_names, axis_of_sizes, lengths_of, rows_of_feeds, state_rows, time_sizes
from ...ir.graph import Graph, with_sizes
from ...ir.types import Dim, TensorType, size, symbols_of
from ...passes.lowering.lowered import kept_label
from ..graph_source import GraphSource
from ..native.compile_options import CompileOptions
from ..native.compiled_graph import CompiledGraph
from .causality import check_states, check_streamable


@dataclass(frozen=True)
class StepGraph:
    """What is known of a graph that runs step by step.

    batch: rows. structure: the nest of outputs. structures: for each driver the nest of its states, with their labels
    as leaves, and last one of the states that are kept by name; named: the same with every state under its name;
    labels: all of these in order. state_axis: which axis of a state counts rows; None: all of it is the only row's.
    types: of what is fed, what only the initial state reads among it. lengths: names of the sizes that count steps.
    time_axis: of feeds and outputs, None: has none. sizes: those that the batch settles. held: defaults of what has no
    time axis.
    """

    batch: int
    compiled: CompiledGraph
    initial: CompiledGraph
    structure: Any
    structures: tuple[Any, ...]
    named: tuple[Any, ...]
    labels: list[str]
    outputs: tuple[str, ...]
    types: Mapping[str, TensorType]
    state_types: Mapping[str, TensorType]
    state_axis: Mapping[str, int | None]
    lengths: frozenset[str]
    time_axis: Mapping[str, int | None]
    output_axis: Mapping[str, int | None]
    sizes: Mapping[str, int]
    held: Mapping[str, np.ndarray]


def step_graph(source: GraphSource, options: CompileOptions, batch: int, where: Where | None) -> StepGraph:
    """Of ``batch`` rows. Raises ``GraphError`` with the line of what can't run step by step, or ``ShapeError``."""
    lowered, options = source.stateful(), replace(options, unroll=None)
    compiled = CompiledGraph(lowered.graph, "inference", options, source.described)
    labels = [label for nest in lowered.states for label in flatten(nest)]
    graph = compiled.graph
    kept = [kept_label(name) for name in source.kept.values()]
    lengths = lengths_of(graph) if kept else time_sizes(graph)
    if lengths or not kept:  # else a step is a call of it all
        check_streamable(graph, lowered.initial, lengths, where)
        check_states(graph, labels, kept, where)
    found = compiled.input_types()
    types = {name: kind for name, kind in found.items() if name not in labels}
    state_types = {name: found[name] for name in labels}
    time_axis = {name: axis_of_names(kind.shape, lengths) for name, kind in types.items()}
    fed = [kind.shape for kind in types.values()]
    rows = [kind.shape[0] for name, kind in state_types.items() if name not in kept]
    rows = rows or _rows_of_kept(graph, [state_types[name] for name in kept]) or rows_of_feeds(fed, lengths)
    sizes = _fixed_sizes(rows, batch, where)
    for name, node in lowered.initial.outputs:  # what states begin with has as many rows
        if name not in kept:
            sizes |= dict.fromkeys(symbols_of(node.shape[0]), batch)
    state_axis = {
        name: 0 if name not in kept else _row_axis(name, state_types[name], sizes, batch, where) for name in labels
    }
    known: dict[str, Dim] = dict(sizes)
    initial = CompiledGraph(with_sizes(lowered.initial, known), "inference", options, source.described)
    for name, kind in initial.input_types().items():
        if name not in labels:
            types.setdefault(name, kind)
            time_axis.setdefault(name, None)
    return StepGraph(
        batch=batch,
        compiled=compiled,
        initial=initial,
        structure=_without(source.structure, source.kept),
        structures=lowered.states,
        named=lowered.named,
        labels=labels,
        outputs=tuple(name for name, _ in graph.outputs),
        types=types,
        state_types=state_types,
        state_axis=state_axis,
        lengths=frozenset(lengths),
        time_axis=time_axis,
        output_axis={name: axis_of_names(node.shape, lengths) for name, node in graph.outputs},
        sizes=sizes,
        held={name: array for name, array in source.lowered.defaults.items() if time_axis.get(name, 0) is None},
    )


def _without(structure: Any, names: Container[str]) -> Any:
    if not isinstance(structure, dict):
        return structure
    return {name: nest for name, nest in structure.items() if name not in names}


def _rows_of_kept(graph: Graph, kept: Sequence[TensorType]) -> list[Dim]:
    """What counts the rows of states that are kept by name, whose axes may stand in any order: their only open size, or
    else what counts those of recurrences. Empty where nothing recurs.
    """
    named = sorted({name for kind in kept for name in kind.symbols})
    return [size(named[0])] if len(named) == 1 else sorted(state_rows(graph), key=str) if kept else []


def _row_axis(
    name: str, kind: TensorType, sizes: Mapping[str, int], batch: int, where: Where | None
) -> int | None:  # fmt: skip
    """The axis of rows in a state that is kept by name. Raises ``ShapeError`` where its sizes are not all known."""
    if unknown := sorted(kind.symbols - sizes.keys()):
        raise ShapeError(
            f"the {name} {kind} has the open size {', '.join(unknown)}, which does not count rows, so that it can't "
            "begin as anything; declare its placeholder with an int there",
            where,
        )
    axis = axis_of_names(kind.shape, sizes.keys())
    axis = axis_of_sizes(kind.shape, {batch}) if axis is None else axis
    if axis is None and batch != 1:
        raise ShapeError(f"the {name} {kind} has no axis of {batch} rows; make a stream(batch=1)", where)
    return axis


def _fixed_sizes(rows: Sequence[Dim], batch: int, where: Where | None) -> dict[str, int]:
    """The batch is the caller's; it stands for every size that counts rows."""
    for dim in rows:
        if isinstance(dim, int) and dim != batch:
            raise ShapeError(f"the graph is declared for a batch of {dim}, not {batch}", where)
    return dict.fromkeys([name for dim in rows for name in symbols_of(dim)], batch)
