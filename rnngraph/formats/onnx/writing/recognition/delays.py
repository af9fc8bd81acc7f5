"""Recognises loops that only delay their inputs, as causal convolutions do, and replaces them by windows."""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.graph import Node, make
from .....ir.scan import ScanParts
from .....support.errors import Where


def without_loop(scan: Node) -> Sequence[Node] | None:
    """Return replacements for the results of a scan whose steps only shift their input into a buffer; else None."""
    parts = ScanParts.of(scan)
    if len(parts.carries) != 1 or len(parts.sequences) != 1 or parts.invariants or parts.reverse or parts.when:
        return None
    (carry,), ((x, sequence),) = parts.carries, parts.sequences
    if x.tensor.rank != 2 or carry.inside.tensor.rank != 2 or carry.next.op != "slice":
        return None
    whole, width, size = carry.next.operands[0], x.shape[1], carry.inside.shape[1]
    if whole.op != "concat" or whole.operands != (carry.inside, x) or whole["axis"] != 1:
        return None
    if not isinstance(width, int) or not isinstance(size, int) or size % width or carry.next["start"][1] != width:
        return None
    if any(value is not whole for _, value in parts.emits):
        return None
    steps, batch, length, where = size // width, x.shape[0], parts.length, scan.where
    before = make("reshape", carry.initial, where=where, shape=(batch, steps, width))
    long = make("concat", before, swapped(sequence, where), where=where, name=scan.name, axis=1)
    stop = (batch, length + steps, width)
    last = make("slice", long, where=where, start=(0, length, 0), stop=stop, step=(1, 1, 1))
    results = [make("reshape", last, where=where, shape=(batch, size))]
    if parts.emits:
        windows = make("windows", long, where=where, axis=1, size=steps + 1, step=1, apart=1)
        joined = make("reshape", windows, where=where, shape=(batch, length, size + width))
        results += [swapped(joined, where)] * len(parts.emits)
    return results


def swapped(node: Node, where: Where | None) -> Node:
    """Return a node with its first two axes, batch and time, swapped."""
    if node.op == "transpose" and node["order"] == (1, 0, 2):
        return node.operands[0]
    return make("transpose", node, where=where, order=(1, 0, 2))
