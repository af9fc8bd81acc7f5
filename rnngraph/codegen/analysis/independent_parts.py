"""Division of a fused kernel into parts that do not read each other."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.graph import Node

MAX_FUSED_OPS = 128
"""Maximum ops of a fused kernel, above which it is split where possible. Compile time grows faster than a function's
length, and equal parts, such as the updates of equal layers, share one function.
"""


def independent_parts(members: Sequence[Node]) -> list[tuple[Node, ...]]:
    """Divide the ops of a fused kernel into parts of at most ``MAX_FUSED_OPS`` that do not read each other.

    The ops of a part keep their order. A part is longer if its ops cannot be separated.
    """
    if len(members) <= MAX_FUSED_OPS:
        return [tuple(members)]
    groups: dict[Node, list[Node]] = {}
    for node in members:
        joined = {id(groups[item]): groups[item] for item in node.operands if item in groups}
        first, *others = sorted(joined.values(), key=len, reverse=True) or [[]]
        for other in others:
            first += other
            groups.update(dict.fromkeys(other, first))
        first.append(node)
        groups[node] = first
    pieces: list[list[Node]] = []
    for group in {id(group): group for group in groups.values()}.values():
        if not pieces or len(pieces[-1]) + len(group) > MAX_FUSED_OPS:
            pieces.append([])
        pieces[-1] += group
    order = {node: number for number, node in enumerate(members)}
    return [tuple(sorted(piece, key=order.__getitem__)) for piece in pieces]
