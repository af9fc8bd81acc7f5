"""Check that the outputs of a batch's shards combine to those of the whole batch, by the interpreter in float64."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping

import numpy as np
from declaration_checks import CheckError, feeds_of
from declarations import Declaration

import rnngraph as rg
from rnngraph.ir.graph import Graph, with_sizes
from rnngraph.ir.interpreter import bind_sizes, interpret
from rnngraph.passes.shards.kinds import Partial, Sharded
from rnngraph.passes.shards.shard import FIRST, TOTAL, ShardGraph, shard
from rnngraph.passes.split import Split
from rnngraph.training.steps.batch_rows import BatchRows

Arrays = Mapping[str, np.ndarray]


def check_shards(declaration: Declaration, shards: int) -> Counter[str]:
    """Compare outputs of a declaration's shards with the whole batch. Raise ``CheckError`` if one differs.

    Returns:
        Number of compared outputs by kind, and of outputs that were not compared, by reason.
    """
    counted: Counter[str] = Counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        program = declaration.compile()
        try:
            rows, arrays = BatchRows.of(program, None), declaration.arrays()
            rows.count(arrays, None)
        except (rg.GraphError, rg.ArgumentError):  # fixed batch sizes, or several batches
            return Counter(unsharded=1)
        lowered = with_sizes(program.training.compiled.lowered, rows.likely)
        for name, node in lowered.outputs:
            graph = Graph.of(lowered.name, [(name, node)], lowered.inputs)
            try:
                sharded = shard(graph, rows.names)
            except rg.GraphError:
                counted["refused"] += 1
                continue
            kind = sharded.kinds[name]
            if isinstance(kind, Sharded) and not kind.is_outermost(rows.names):
                counted["apart"] += 1
                continue
            counted[type(kind).__name__] += 1
            whole = _values(graph, graph, arrays, program)[name]
            actual = _over_shards(sharded, graph, name, arrays, program, rows, shards)
            near = actual.shape == whole.shape and np.allclose(actual, whole, rtol=1e-9, atol=1e-9, equal_nan=True)
            if not near:
                raise CheckError(declaration, "shards", f"{name} ({kind}) is {actual}, and of the whole batch {whole}")
    return counted


def _over_shards(
    sharded: ShardGraph, graph: Graph, name: str, arrays: Arrays, program: rg.Program, rows: BatchRows, shards: int
) -> np.ndarray:
    count = rows.count(arrays, None)
    each = max(1, -(-count // shards))
    cuts = [(first, min(first + each, count)) for first in range(0, count, each)] or [(0, 0)]
    parts = []
    for first, stop in cuts:
        own = rows.cut(arrays, first, stop)
        parts.append({**own, "first_row": np.int64(first), FIRST: np.asarray(first == 0)})
    for label, node in sharded.totals.outputs:
        one = Graph.of(
            "total",
            [(label, node)],
            [item for item in sharded.totals.inputs if not str(item["label"]).startswith(TOTAL)],
        )
        total = sum(_values(one, graph, part, program)[label] for part in parts)
        for part in parts:
            part[label] = np.asarray(total)
    actual = [_values(sharded.graph, graph, part, program)[name] for part in parts]
    kind = sharded.kinds[name]
    if isinstance(kind, Sharded):
        return np.concatenate(actual, kind.axis)
    return np.sum(actual, 0) if isinstance(kind, Partial) else actual[0]


def _values(graph: Graph, whole: Graph, part: Arrays, program: rg.Program) -> Mapping[str, np.ndarray]:
    """Return the outputs of a graph for a shard, in float64. The inputs of ``whole`` determine symbolic sizes."""
    split = Split(training=True)(graph)
    feeds = feeds_of_part(split, part, program)
    sized = feeds_of_part(whole, part, program)
    sizes = bind_sizes([(node.tensor, sized[str(node["label"])].shape) for node in whole.inputs])
    return interpret(split, feeds, wide=True, sizes=sizes)


def feeds_of_part(graph: Graph, part: Arrays, program: rg.Program) -> dict[str, np.ndarray]:
    first = {"first_row": part["first_row"]} if "first_row" in part else {}
    return {
        **feeds_of(graph, part, program),
        **{
            key: np.asarray(value) for key, value in first.items() if any(node["label"] == key for node in graph.inputs)
        },
    }
