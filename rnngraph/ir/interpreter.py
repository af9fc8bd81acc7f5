"""Runs a graph in NumPy, one node after the other: the IR's living definition, and the tests' oracle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .graph import Graph, Node, substitute_attribute
from .numbers import narrow
from .ops import OPS
from .scan import split_inputs
from .sizes.table import SizeTable
from .types import Dim, TensorType, evaluate

Arrays = Mapping[str, np.ndarray]
Seen = Callable[[Node, Sequence[np.ndarray], np.ndarray, int | None], None]
"""Told a node, the values of its operands, its own value, and the step if it stands in a scan."""


def bind_sizes(pairs: Sequence[tuple[TensorType, tuple[int, ...]]]) -> dict[str, int]:
    """Values of all named sizes from actual shapes. Raises ``ValueError`` where they contradict each other."""
    table = SizeTable()
    met: list[tuple[Dim, Dim]] = []
    for kind, shape in pairs:
        if len(kind.shape) != len(shape):
            raise ValueError(f"shape {shape} for {kind}")
        met += zip(kind.shape, shape, strict=True)
    wrong = table.meet_all(met, measured=True)
    if wrong is not None:
        table.meet(*met[wrong], measured=True)
    return {name: value for name in table.known if isinstance(value := table.resolve(table.known[name]), int)}


def interpret(
    graph: Graph, feeds: Arrays, wide: bool = False, seen: Seen | None = None, sizes: Mapping[str, int] | None = None
) -> dict[str, np.ndarray]:
    """Outputs of ``graph`` by name.

    feeds: an array for every input and parameter, by name. ``wide`` computes in float64 whatever the
    graph's float dtype: the reference that native code is compared with. ``seen`` is told of every value as
    soon as there is one, inputs first; not of scans and bodies' inputs, which are made of values it was told.
    sizes: by name, where they do not follow from the inputs that this graph reads.
    """
    arrays = {node: np.asarray(feeds[node["label"]]) for node in graph.inputs}
    if sizes is None:
        sizes = bind_sizes([(node.tensor, array.shape) for node, array in arrays.items()])
    if seen is not None:
        for node, array in arrays.items():
            seen(node, (), array, None)
    values = _run(graph, [arrays[node] for node in graph.inputs], sizes, wide, seen, None)
    return dict(zip((name for name, _ in graph.outputs), values, strict=True))


def _float(array: np.ndarray, wide: bool) -> np.ndarray:
    return array.astype(np.float64) if wide and array.dtype == np.float32 else array


def _run(
    graph: Graph,
    inputs: Sequence[np.ndarray],
    sizes: Mapping[str, int],
    wide: bool,
    seen: Seen | None,
    step: int | None,
) -> list[np.ndarray]:
    values: dict[Node, Any] = {  # an array of each, and of a scan a list of them
        node: _float(array, wide) for node, array in zip(graph.inputs, inputs, strict=True)
    }
    reads = Counter(operand for node in graph.nodes for operand in node.operands)
    reads.update(node for _, node in graph.outputs)
    for node in graph.nodes:
        if node in values:
            continue
        operands = [values[operand] for operand in node.operands]
        if node.op == "get":
            values[node] = operands[0][node["index"]]
        elif node.op == "scan":
            values[node] = _scan(node, operands, sizes, wide, seen)
        else:
            value = values[node] = _evaluate(node, operands, sizes, wide)
            if seen is not None:
                seen(node, operands, value, step)
        reads.subtract(node.operands)
        for operand in node.operands:
            if not reads[operand]:  # nothing reads it any more
                values.pop(operand, None)
    return [np.asarray(values[node]) for _, node in graph.outputs]


def _evaluate(node: Node, operands: Sequence[np.ndarray], sizes: Mapping[str, int], wide: bool) -> np.ndarray:
    attributes = {key: substitute_attribute(value, sizes) for key, value in node.attributes}
    function = OPS[node.op].evaluate
    if function is None:
        raise ValueError(f"{node.op} has no value of its own; a pass must replace it")
    if wide and node.op == "cast" and attributes["dtype"] == "float32":
        attributes["dtype"] = "float64"
    value = _float(np.asarray(function(operands, attributes)), wide)
    expected = tuple(evaluate(dim, sizes) for dim in node.shape)
    if value.shape != expected:
        value = np.broadcast_to(value, expected)
    return value


def _scan(
    node: Node, operands: Sequence[np.ndarray], sizes: Mapping[str, int], wide: bool, seen: Seen | None
) -> list[np.ndarray]:
    body: Graph = node["body"]
    carried, sequences, constants = split_inputs(node, operands)
    length, count = evaluate(node["length"], sizes), node["carries"]
    order = range(length - 1, -1, -1) if node["reverse"] else range(length)
    nothing = [_zeros(inner, sizes, wide) for _, inner in body.outputs[count:]]
    emitted: list[list[np.ndarray]] = [[] for _ in nothing]
    when, keeps, blocks = node.get("when"), node.get("keeps"), node.get("blocks")
    initial, begun = carried, list[Sequence[np.ndarray]]()
    for turn, step in enumerate(order):
        if blocks is not None and turn % blocks == 0:
            carried = [values[turn // blocks] for values in initial]
        if keeps is not None and turn % keeps == 0:
            begun.append(carried)
        given = [*carried, *(sequence[step] for sequence in sequences), *constants]
        if when is not None and not given[when]:
            results = [*carried, *nothing]
        else:
            results = _run(body, given, sizes, wide, seen, step)
        carried = results[:count]
        for kept, value in zip(emitted, results[count:], strict=True):
            kept.append(value)
    stacked = []
    for kept, zeros in zip(emitted, nothing, strict=True):
        kept = kept[::-1] if node["reverse"] else kept
        stacked.append(np.stack(kept) if kept else np.zeros((0, *zeros.shape), zeros.dtype))
    if keeps is not None:
        for number, first in enumerate(initial):
            before = [values[number] for values in begun]
            stacked.append(np.stack(before) if before else np.zeros((0, *first.shape), first.dtype))
    return [*carried, *stacked]


def _zeros(node: Node, sizes: Mapping[str, int], wide: bool) -> np.ndarray:
    held = narrow.held_as(node.dtype)
    dtype = "float64" if wide and held == "float32" else held
    return np.zeros(tuple(evaluate(dim, sizes) for dim in node.shape), dtype)
