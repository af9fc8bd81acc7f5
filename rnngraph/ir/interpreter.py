"""Reference interpreter, which runs a graph in NumPy node by node. It defines what graphs compute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .graph import Graph, Node, substitute_attribute
from .numbers import narrow
from .numbers.narrow import bfloat16_of_bits
from .ops import OPS
from .scan import split_inputs
from .sizes.table import SizeTable
from .types import Dim, TensorType, evaluate

Arrays = Mapping[str, np.ndarray]
Seen = Callable[[Node, Sequence[np.ndarray], np.ndarray, int | None], None]
"""Callback that gets a node, the values of its operands, its value, and the index of the step.

The index is None for a node outside of scans.
"""


def bind_sizes(pairs: Sequence[tuple[TensorType, tuple[int, ...]]]) -> dict[str, int]:
    """Return {symbol: its value}, found by matching each symbolic type with an array's shape.

    Symbols that the shapes do not determine are left out.

    Raises:
        ValueError: A rank is wrong, or shapes contradict each other.
    """
    table = SizeTable()
    pairs_of_dims: list[tuple[Dim, Dim]] = []
    for kind, shape in pairs:
        if len(kind.shape) != len(shape):
            raise ValueError(f"an array of shape {shape} does not fit {kind}")
        pairs_of_dims += zip(kind.shape, shape, strict=True)
    wrong = table.unify_all(pairs_of_dims, measured=True)
    if wrong is not None:
        table.unify(*pairs_of_dims[wrong], measured=True)
    return {name: value for name in table.known if isinstance(value := table.resolve(table.known[name]), int)}


def interpret(
    graph: Graph, feeds: Arrays, wide: bool = False, seen: Seen | None = None, sizes: Mapping[str, int] | None = None
) -> dict[str, np.ndarray]:
    """Run ``graph`` in NumPy on the arrays ``feeds``. Return {name of an output: its array}.

    Args:
        graph: Graph to run.
        feeds: An array for every input and parameter, by label.
        wide: True to compute in float64 for any float dtype of the graph. Tests compare native code with these results.
        seen: Callback for every value once it is computed, inputs first. Scans, their results and inputs of bodies are
            skipped.
        sizes: Values of symbols. By default, they are inferred from the shapes of the feeds.
    """
    arrays = {node: _input_array(node, np.asarray(feeds[node["label"]])) for node in graph.inputs}
    if sizes is None:
        sizes = bind_sizes([(node.tensor, array.shape) for node, array in arrays.items()])
    if seen is not None:
        for node, array in arrays.items():
            seen(node, (), array, None)
    values = _run(graph, [arrays[node] for node in graph.inputs], sizes, wide, seen, None)
    return dict(zip((name for name, _ in graph.outputs), values, strict=True))


def _input_array(node: Node, array: np.ndarray) -> np.ndarray:
    """Return the array of an input or a parameter; a float32 array for bits of bfloat16."""
    return bfloat16_of_bits(array) if node.dtype == "bfloat16" and array.dtype == np.uint16 else array


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
    """Return the values of a graph's or a step body's outputs, given the arrays of its inputs."""
    values: dict[Node, Any] = {  # the value of a scan is a list of arrays
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
            if not reads[operand]:  # this was the last use
                values.pop(operand, None)
    return [np.asarray(values[node]) for _, node in graph.outputs]


def _evaluate(node: Node, operands: Sequence[np.ndarray], sizes: Mapping[str, int], wide: bool) -> np.ndarray:
    """Return the array that a node computes from its operands' arrays, with values of symbols in ``sizes``.

    Raise ``ValueError`` for an op that a pass must replace.
    """
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
    """Run a scan step by step. Return the carries' final arrays, emitted sequences, and saved carries."""
    body: Graph = node["body"]
    carried, sequences, constants = split_inputs(node, operands)
    length, count = evaluate(node["length"], sizes), node["carries"]
    order = range(length - 1, -1, -1) if node["reverse"] else range(length)
    skipped = [_zeros(inner, sizes, wide) for _, inner in body.outputs[count:]]  # values that a skipped step emits
    emitted: list[list[np.ndarray]] = [[] for _ in skipped]
    when, keeps, blocks = node.get("when"), node.get("keeps"), node.get("blocks")
    initial, checkpoints = carried, list[Sequence[np.ndarray]]()
    for turn, step in enumerate(order):
        if blocks is not None and turn % blocks == 0:
            carried = [values[turn // blocks] for values in initial]
        if keeps is not None and turn % keeps == 0:
            checkpoints.append(carried)
        inputs = [*carried, *(sequence[step] for sequence in sequences), *constants]
        if when is not None and not inputs[when]:
            results = [*carried, *skipped]
        else:
            results = _run(body, inputs, sizes, wide, seen, step)
        carried = results[:count]
        for history, value in zip(emitted, results[count:], strict=True):
            history.append(value)
    stacked = []
    for history, zeros in zip(emitted, skipped, strict=True):
        history = history[::-1] if node["reverse"] else history
        stacked.append(np.stack(history) if history else np.zeros((0, *zeros.shape), zeros.dtype))
    if keeps is not None:
        for number, first in enumerate(initial):
            before = [values[number] for values in checkpoints]
            stacked.append(np.stack(before) if before else np.zeros((0, *first.shape), first.dtype))
    return [*carried, *stacked]


def _zeros(node: Node, sizes: Mapping[str, int], wide: bool) -> np.ndarray:
    storage_dtype = narrow.storage_dtype(node.dtype)
    dtype = "float64" if wide and storage_dtype == "float32" else storage_dtype
    return np.zeros(tuple(evaluate(dim, sizes) for dim in node.shape), dtype)
