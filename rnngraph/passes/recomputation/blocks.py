"""Helpers of rematerialisation: properties of values with a time axis, and the scan that recomputes blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...ir.graph import Graph, Node, make, with_operands
from ...ir.scan import ScanParts, is_final
from ...ir.types import FLOATS, Dim

LEAVES = ("input", "parameter", "constant")


SMALL = 8
"""Values are saved if a state has at least this many times their bytes: recomputing them would read the whole state."""


def has_steps(node: Node, length: Dim) -> bool:
    """True if a value has a time axis: a first axis of ``length`` entries, the steps of a loop. False for a scan."""
    return node.op != "scan" and node.tensor.rank > 0 and node.shape[0] == length


def state_bytes(scan: Node) -> int:
    """Return the bytes of the largest carry of a scan, with every symbolic size taken as 1."""
    return max((carry.inside.tensor.bytes_at(1) for carry in ScanParts.of(scan).carries), default=0)


def is_much_smaller(get: Node) -> bool:
    """True if a scan's result takes much less memory per step than its largest state; False for a final state."""
    return not is_final(get) and SMALL * get.tensor.with_shape(get.shape[1:]).bytes_at(1) <= state_bytes(
        get.operands[0]
    )


def is_recomputed(node: Node, length: Dim) -> bool:
    """True if a value has a time axis, and is recomputed rather than saved."""
    # Masks and row indices are saved: they are small, and all loops must read one mask of ended rows.
    is_small = has_steps(node, length) and node.dtype not in FLOATS and all(dim == 1 for dim in node.shape[2:])
    is_small = is_small or (node.op == "get" and is_much_smaller(node))
    return has_steps(node, length) and not is_small and node.op not in LEAVES


def with_checkpoints(scan: Node, operands: Sequence[Node], steps: int) -> Node:
    """Return a scan that also returns its carries at the start of each block of steps."""
    return replace(ScanParts.of(scan, operands), keeps=steps).build(scan.where, scan.name)


def recomputed_blocks(scan: Node, operands: Sequence[Node], kept: Node, steps: int) -> Node:
    """Return a scan that recomputes blocks of steps from the carries that the scan ``kept`` saved."""
    first = len(scan["body"].outputs)
    parts = ScanParts.of(scan, operands, _copy_body(scan["body"]))
    carries = []
    for number, carry in enumerate(parts.carries, first):
        initial = make("get", kept, where=scan.where, name=f"kept_{carry.name}", index=number)
        carries.append(carry._replace(initial=initial))
    return replace(parts, carries=carries, blocks=steps).build(scan.where, f"{scan.name}_again")


def _copy_body(body: Graph) -> Graph:
    """Copy a body, so that its nodes get distinct names when printed."""
    new: dict[Node, Node] = {}
    for node in body.nodes:
        new[node] = with_operands(node, tuple([new[item] for item in node.operands]), node.where)
    return Graph.of(body.name, [(name, new[node]) for name, node in body.outputs], [new[node] for node in body.inputs])
