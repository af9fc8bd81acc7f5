"""Random inputs of a graph, for timing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...ir.axes.by_size import time_sizes
from ...ir.types import Dim, evaluate
from ...passes.lowering.lowered import SEED_INPUTS
from ...support.allocation import bytes_of, reserve
from ..native.optimized_graph import OptimizedGraph


def random_feeds(compiled: OptimizedGraph, batch: int, steps: int) -> Mapping[str, np.ndarray]:
    """Return an array for every placeholder except seeds. The arrays are the same at every call.

    Floats are random, or 0.5 for a scalar. Ids and labels are zeros, and row lengths are the maximum.
    """
    graph = compiled.graph
    lengths = time_sizes(graph)
    outputs = tuple(name for name, _ in graph.outputs)
    known = {name: steps if name in lengths else batch for name in graph.symbols}
    sizes = compiled.likely(outputs, known)
    checked = compiled.preconditions(outputs)
    full: dict[str, Dim] = {item.label: item.high for item in checked if item.text == "sequence_length"}
    generator = np.random.default_rng(0)
    feeds: dict[str, np.ndarray] = {}
    for node in graph.inputs:
        if node.op != "input" or node["label"] in SEED_INPUTS:
            continue
        label, kind = str(node["label"]), node.tensor
        shape = tuple(evaluate(dim, sizes) for dim in kind.shape)
        reserve(2 * bytes_of(shape, np.float64), f"a feed {label} of shape {shape}")
        if not kind.dtype.startswith("float"):
            feeds[label] = np.full(shape, evaluate(full.get(label, 0), sizes), kind.dtype)
        elif not shape:
            feeds[label] = np.full(shape, 0.5, kind.dtype)
        else:
            feeds[label] = generator.standard_normal(shape).astype(kind.dtype)
    return feeds
