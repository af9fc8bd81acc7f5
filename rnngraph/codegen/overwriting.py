"""Where a loop over steps may write one value over another: nobody reads that one later, or at other places."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.graph import Node
from .phases import Phases, contracted, is_view


def may_overwrite(cutting: Phases, outputs: Sequence[Node], users: Sequence[Node], old: Node, new: Node) -> bool:
    """Whether what a body computes can take the place of what it was given. cutting: of the body, which has these
    ``outputs``; users: of ``old`` in it.
    """
    position = {node: number for number, step in enumerate(cutting.steps) for node in step.members}
    if new not in cutting.stored or new not in position or old in outputs:
        return False
    last, beside = position[new], list[Node]()
    for user in users:
        if user not in position or is_view(user) or position[user] > last:
            return False
        if position[user] == last:
            if contracted(old, user) or user.shape != old.shape:
                return False
            beside.append(user)
    # A tile stores each value as soon as it is there: by then what it is computed from is in registers, and no more.
    return not beside or _leads_to(beside, new, {node for node in position if position[node] == last})


def _leads_to(sources: Sequence[Node], node: Node, members: set[Node]) -> bool:
    """Whether ``node`` is one of ``sources`` or is computed from one, by ``members`` alone."""
    seen, pending = {node}, [node]
    while pending:
        item = pending.pop()
        if item in sources:
            return True
        pending += [operand for operand in item.operands if operand in members and operand not in seen]
        seen.update(item.operands)
    return False
