"""Names from the user's source: the line ``f = rg.sigmoid(…)`` calls what it computes ``f``."""

from __future__ import annotations

import linecache
import re
from collections.abc import Collection, Iterable

from ...support.errors import Where
from ..graph import Node

_TARGET = re.compile(r"\s*(_*[A-Za-z]\w*)\s*[-+*/@]*=(?!=)")


def assigned_names(nodes: Iterable[Node], beside: Collection[tuple[str, int]] = ()) -> dict[Node, str]:
    """The variable to which a line of the form ``name = …`` assigns a node, where there is one.

    What a line gives is a node that no other node of that line reads. Left out are nodes that have a name
    or a label, taps, everything made at the lines ``beside``, and lines whose source can't be read.
    """
    nodes = [node for node in nodes if node.op != "tap"]
    read = ((node, _tapped(operand)) for node in nodes for operand in node.operands)
    inner = {operand for node, operand in read if _place(operand.where) == _place(node.where)}
    names: dict[Node, str] = {}
    for node in nodes:
        if node.where is None or node.where.place in beside or node in inner or node.name or node.get("label"):
            continue
        line = linecache.getline(node.where.file, node.where.line)
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
