"""Dependencies between kernels that run in one loop over chunks of time.

Two kinds of software pipelines use them. Several workers claim a stage once the stages on which it depends have
finished the same chunk. A single worker with interleaved scans runs a kernel some chunks behind its dependencies.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ...ir.graph import Node
from .kernel_fusion import Kernel

Needs = Mapping[int, frozenset[Node]]
"""Values that a kernel reads, by index of the kernel that computes them."""


def chunk_needs(kernels: Sequence[Kernel], nodes: Collection[Node]) -> tuple[Needs, ...]:
    """Return, for each kernel, {index of another kernel: its values that the kernel reads within a chunk of time}.

    Values are read directly, or through views and inlined values.

    Args:
        kernels: Kernels of one fusion group, in order.
        nodes: All values of the group.
    """
    inside = set(nodes)
    number = {node: place for place, kernel in enumerate(kernels) for node in kernel.members}
    needs = list[Needs]()
    for place, kernel in enumerate(kernels):
        needed, visited = dict[int, set[Node]](), set(kernel.members)
        pending = [item for node in kernel.members for item in node.operands]
        for node in pending:  # the loop appends to the list
            if node in visited or node not in inside:
                continue
            visited.add(node)
            source = node.operands[0] if node.op == "get" else node
            if source in number:
                needed.setdefault(number[source], set()).add(node)
            else:
                pending += node.operands
        needs.append({other: frozenset(values) for other, values in needed.items() if other != place})
    return tuple(needs)
