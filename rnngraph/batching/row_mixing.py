"""Whether a graph mixes the rows of a batch, so that a row's result depends on which others are run with it."""

from __future__ import annotations

from collections.abc import Set

from ..ir.axes import counts
from ..ir.graph import Graph, Node
from ..ir.ops import OPS
from ..ir.scan import ends_of_loop
from ..ir.types import Dim, Shape, Size, product


def mixes_rows(graph: Graph, batch: Set[str], left_out: Set[Node] = frozenset()) -> bool:
    """Whether anything is computed over rows, or takes them to other places, but for a loop's end when all of them have
    stopped. An op that isn't known to leave rows where they are does so. A batch normalization does in the training
    graph alone.

    batch: names of the sizes that count rows. left_out: nodes that may mix them.
    """
    for node in graph.nodes:
        if node not in left_out and _joins(node, batch):
            return True
        if node.op == "scan" and mixes_rows(node["body"], batch, ends_of_loop(node)):
            return True
    return False


def _joins(node: Node, batch: Set[str]) -> bool:
    """Whether an entry of a node's value comes of several rows, or of another one than its own."""
    if node.op == "get" or OPS[node.op].kind in ("leaf", "elementwise"):
        return False
    shapes = [item.shape for item in node.operands]
    first = shapes[0]
    match node.op:
        case "scan":
            return counts(node["length"], batch)
        case "matmul":
            return any(counts(shape[-1], batch) for shape in shapes[:2])
        case "reduce_sum" | "reduce_max" | "reduce_min":
            return any(counts(first[axis], batch) for axis in node["axes"])
        case "slice":
            bounds = zip(node["start"], node["stop"], node["step"], strict=True)
            return any(counts(dim, batch) and cut != (0, dim, 1) for dim, cut in zip(first, bounds, strict=True))
        case "windows" | "reverse" | "concat":
            return any(counts(shape[node["axis"]], batch) for shape in shapes)
        case "gather":  # entries of rows that were joined with another axis are found by their row's number
            return isinstance(first[0], Size) and first[0].symbol in batch
        case "reshape":
            before, after = _ahead_of_rows(first, batch), _ahead_of_rows(node.shape, batch)
            return None not in (before, after) and before != after
        case "transpose" | "broadcast" | "ensure_shape":
            return False
    return any(counts(dim, batch) for shape in shapes for dim in shape)


def _ahead_of_rows(shape: Shape, batch: Set[str]) -> Dim | None:
    """How many entries lie ahead of the axis that counts rows and nothing else; None where there is none."""
    places = (axis for axis, dim in enumerate(shape) if isinstance(dim, Size) and dim.symbol in batch)
    axis = next(places, None)
    return None if axis is None else product(shape[:axis])
