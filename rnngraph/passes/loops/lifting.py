"""Lifting: ops over one step become ops over all steps, with the time axis in front; and the inverse."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.axes.walk import kept_at
from ...ir.graph import Node, make
from ...ir.ops import OPS
from ...ir.types import Dim

Lifted = tuple[Node, bool]
"""A value outside of the loop, and True if it has the time axis in front."""


def aligned(node: Node, has_time: bool, rank: int) -> Node:
    """Reshape a value over all steps so that it broadcasts against values that have ``rank`` axes in a step.

    Without ``has_time``, the value is the same at all steps, and is returned unchanged.
    """
    inner = node.tensor.rank - 1
    if not has_time or inner >= rank:
        return node
    shape = (node.shape[0], *(1,) * (rank - inner), *node.shape[1:])
    return make("reshape", node, where=node.where, shape=shape)


def lift(node: Node, operands: list[Lifted], length: Dim) -> Node | None:
    """Return ``node`` over all steps; None if the op cannot be lifted and must stay in a loop."""
    lifted = _over_all_steps(node, operands, length)
    timed = [number for number, (_, has_time) in enumerate(operands) if has_time]
    if lifted is None or any(kept_at(lifted, number, 0) != 0 for number in timed):
        return None  # the op would mix steps
    return lifted


def _over_all_steps(node: Node, operands: list[Lifted], length: Dim) -> Node | None:
    """Return the op with attributes and operands that have one more axis in front; None if it has no such form."""
    attributes = dict(node.attributes)

    def same_op(*items: Node, **changes: object) -> Node:
        return make(node.op, *items, where=node.where, name=node.name, **{**attributes, **changes})

    if OPS[node.op].kind == "elementwise":
        rank = node.tensor.rank
        return same_op(*(aligned(item, has_time, rank) for item, has_time in operands))
    first, has_time = operands[0]
    match node.op:
        case "matmul" if operands[1][0].tensor.rank - operands[1][1] > 2:
            rank = node.tensor.rank
            both = (over_time(item, flag, length) for item, flag in operands[:2])
            return same_op(*both, *(aligned(item, flag, rank) for item, flag in operands[2:]))
        case "matmul":
            if not has_time or operands[1][1]:
                return None
            rank = node.tensor.rank
            return same_op(first, operands[1][0], *(aligned(item, flag, rank) for item, flag in operands[2:]))
        case "block_matmul":
            if [flag for _, flag in operands] != [True, False, True, False, True]:
                return None  # the weight, its scales and its zero must be the same in all steps
            return same_op(*(item for item, _ in operands))
        case "reduce_sum" | "reduce_max" | "reduce_min":
            return same_op(first, axes=tuple(axis + 1 for axis in node["axes"]))
        case "slice":
            return same_op(first, start=(0, *node["start"]), stop=(length, *node["stop"]), step=(1, *node["step"]))
        case "reverse" | "windows":
            return same_op(first, axis=node["axis"] + 1)
        case "transpose":
            return same_op(first, order=(0, *(axis + 1 for axis in node["order"])))
        case "reshape" | "ensure_shape":
            return same_op(first, shape=(length, *node["shape"]))
        case "broadcast":
            rank = len(node["shape"])
            return same_op(aligned(first, True, rank), shape=(length, *node["shape"]))
        case "concat":
            return same_op(*(over_time(item, flag, length) for item, flag in operands), axis=node["axis"] + 1)
        case "gather":
            return same_op(*(item for item, _ in operands))
    return None


def over_time(node: Node, has_time: bool, length: Dim) -> Node:
    """Return a value with the time axis in front. Unless it ``has_time``, it is broadcast along this axis."""
    if has_time:
        return node
    return make("broadcast", node, where=node.where, shape=(length, *node.shape))


def varies(node: Node, number: int) -> bool:
    """True if the operand ``number`` of an op over all steps has the time axis in front."""
    return node.operands[number].tensor.rank > 0 and kept_at(node, number, 0) == 0


def is_stepwise(node: Node) -> bool:
    """True if an op over all steps computes each step from that step alone, so that ``of_one_step`` supports it."""
    spreads = OPS[node.op].kind == "elementwise" or node.op == "broadcast"
    known = spreads or node.op in ("matmul", "reduce_sum", "reduce_max", "reduce_min", "slice", "transpose", "reshape")
    return known and all(
        varies(node, number) or (spreads and (item.tensor.rank < node.tensor.rank or item.shape[0] == 1))
        for number, item in enumerate(node.operands)
    )


def of_one_step(node: Node, operands: Sequence[Node]) -> Node:
    """Return an op that ``is_stepwise`` over one step, on operands without a time axis: the inverse of ``lift``."""
    changes: dict[str, object] = {}
    match node.op:
        case "reduce_sum" | "reduce_max" | "reduce_min":
            changes = {"axes": tuple(axis - 1 for axis in node["axes"])}
        case "slice":
            changes = {key: node[key][1:] for key in ("start", "stop", "step")}
        case "transpose":
            changes = {"order": tuple(axis - 1 for axis in node["order"][1:])}
        case "reshape" | "broadcast":
            changes = {"shape": node["shape"][1:]}
    return make(node.op, *operands, where=node.where, name=node.name, **{**dict(node.attributes), **changes})
