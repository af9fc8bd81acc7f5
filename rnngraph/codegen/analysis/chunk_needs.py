"""What the kernels of a loop over chunks of time need of each other within a chunk.

Both software pipelines follow it: workers claim a stage once the stages that it needs have done their chunk, and with
one worker a kernel runs so many chunks behind those that it needs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ...ir.graph import Node
from .kernel_fusion import Kernel

Needs = Mapping[int, frozenset[Node]]
"""The values that a kernel reads of others, by number of the other kernel."""


def chunk_needs(kernels: Sequence[Kernel], nodes: Collection[Node]) -> tuple[Needs, ...]:
    """Return for each kernel the values of others that it reads, directly or through views and values in place.

    Args:
        kernels: those of one fusion group, in order.
        nodes: all values of the group.
    """
    inside = set(nodes)
    number = {node: place for place, kernel in enumerate(kernels) for node in kernel.members}
    found = list[Needs]()
    for place, kernel in enumerate(kernels):
        needed, seen = dict[int, set[Node]](), set(kernel.members)
        pending = [item for node in kernel.members for item in node.operands]
        for node in pending:  # which grows
            if node in seen or node not in inside:
                continue
            seen.add(node)
            source = node.operands[0] if node.op == "get" else node
            if source in number:
                needed.setdefault(number[source], set()).add(node)
            else:
                pending += node.operands
        found.append({other: frozenset(values) for other, values in needed.items() if other != place})
    return tuple(found)
