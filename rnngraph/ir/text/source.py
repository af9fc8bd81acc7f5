"""Names of values from the user's source: the line ``f = rg.sigmoid(…)`` names its value ``f``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from ...support.errors import Where
from ...support.source_lines import source_line
from ..graph import Node

_TARGET = re.compile(r"\s*(_*[A-Za-z]\w*)\s*[-+*/@]*=(?!=)")


def assigned_names(nodes: Iterable[Node], skipped: Collection[tuple[str, int]] = ()) -> dict[Node, str]:
    """Return {node: name of the variable to which its source line, ``name = …``, assigns it}.

    The node that a line assigns is the one that no other node of the line reads. Nodes with a name or a label, taps,
    and lines without readable source are skipped.

    Args:
        nodes: Nodes to name.
        skipped: Lines to skip, as (file, line).
    """
    nodes = [node for node in nodes if node.op != "tap"]
    read = ((node, _tapped(operand)) for node in nodes for operand in node.operands)
    inner = {operand for node, operand in read if _place(operand.where) == _place(node.where)}
    names: dict[Node, str] = {}
    for node in nodes:
        if node.where is None or node.where.place in skipped or node in inner or node.name or node.get("label"):
            continue
        line = source_line(node.where.file, node.where.line)
        target = _TARGET.match(line)
        if target and "compile(" not in line:  # `program = rg.compile(…)` names no tensor
            names[node] = target[1]
    return names


def _place(where: Where | None) -> tuple[str, int] | None:
    return None if where is None else where.place


def _tapped(node: Node) -> Node:
    while node.op == "tap":
        node = node.operands[0]
    return node
