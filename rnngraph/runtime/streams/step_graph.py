"""An inference graph with its states as inputs and outputs: which axis is time, and which sizes a batch settles."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...declare.nest import flatten
from ...errors import ShapeError, Where
from ...ir.axes import axis_of_names, lengths_of, rows_of_feeds, time_sizes
from ...ir.graph import with_sizes
from ...ir.types import Dim, TensorType, symbols_of
from ..graph_source import GraphSource
from ..native.compile_options import CompileOptions
from ..native.compiled_graph import CompiledGraph
from .causality import check_states, check_streamable
from .kept_states import KeptState, by_rows


@dataclass(frozen=True)
class StepGraph:
    """What is known of a graph that runs step by step.

    batch: rows. structure: the nest of outputs. structures: for each driver the nest of its states, with their labels
    as leaves, and last one of the states that are kept by name; named: the same with every state under its name;
    labels: all of these in order. kept: by label what states that are kept by name are declared as.
    types: of what is fed, what only the initial state reads among it. lengths: names of the sizes that count steps.
    moving: what each step is fed anew, the rest is held: sequences; where a step is a call of it all, all but scalars.
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
    kept: Mapping[str, KeptState]
    outputs: tuple[str, ...]
    types: Mapping[str, TensorType]
    state_types: Mapping[str, TensorType]
    lengths: frozenset[str]
    moving: frozenset[str]
    time_axis: Mapping[str, int | None]
    output_axis: Mapping[str, int | None]
    sizes: Mapping[str, int]
    held: Mapping[str, np.ndarray]


def step_graph(source: GraphSource, options: CompileOptions, batch: int, where: Where | None) -> StepGraph:
    """Of ``batch`` rows. Raises ``GraphError`` with the line of what can't run step by step, or ``ShapeError``."""
    lowered, options = source.stateful(), replace(options, unroll=None)
    kept: dict[str, KeptState] = {}
    if source.kept:
        lowered, kept = by_rows(lowered, [*source.kept.values()], lengths_of(lowered.graph), batch, where)
    compiled = CompiledGraph(lowered.graph, "inference", options, source.described)
    labels = [label for nest in lowered.states for label in flatten(nest)]
    graph = compiled.graph
    lengths = lengths_of(graph) if kept else time_sizes(graph)
    is_call = bool(kept) and not lengths
    if not is_call:
        check_streamable(graph, lowered.initial, lengths, where)
        check_states(graph, labels, kept, where)
    found = compiled.input_types()
    types = {name: kind for name, kind in found.items() if name not in labels}
    state_types = {name: found[name] for name in labels}
    time_axis = {name: axis_of_names(kind.shape, lengths) for name, kind in types.items()}
    fed = [kind.shape for kind in types.values()]
    rows = [kind.shape[0] for kind in state_types.values()] or rows_of_feeds(fed, lengths)
    sizes = _fixed_sizes(rows, batch, where)
    for _, node in lowered.initial.outputs:  # what states begin with has as many rows
        sizes |= dict.fromkeys(symbols_of(node.shape[0]), batch)
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
        kept=kept,
        outputs=tuple(name for name, _ in graph.outputs),
        types=types,
        state_types=state_types,
        lengths=frozenset(lengths),
        moving=frozenset(
            name for name, kind in types.items() if (kind.rank if is_call else time_axis[name] is not None)
        ),
        time_axis=time_axis,
        output_axis={name: axis_of_names(node.shape, lengths) for name, node in graph.outputs},
        sizes=sizes,
        held={name: array for name, array in source.lowered.defaults.items() if time_axis.get(name, 0) is None},
    )


def _without(structure: Any, names: Container[str]) -> Any:
    """The nest of outputs without these."""
    if not isinstance(structure, dict):
        return structure
    return {name: nest for name, nest in structure.items() if name not in names}


def _fixed_sizes(rows: Sequence[Dim], batch: int, where: Where | None) -> dict[str, int]:
    """The batch is the caller's; it stands for every size that counts rows."""
    for dim in rows:
        if isinstance(dim, int) and dim != batch:
            raise ShapeError(f"the graph is declared for a batch of {dim}, not {batch}", where)
    return dict.fromkeys([name for dim in rows for name in symbols_of(dim)], batch)
