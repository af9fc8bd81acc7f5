"""Time directions of sums over time, and of blocks of steps that are recomputed.

Gradients are sums over time. Each sum runs in the direction of the derivative, whether that reads residuals or
recomputed blocks, so that both give the same bits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ...ir.axes.walk import adds_up
from ...ir.graph import Graph, Node, dependents, topological
from ...ir.scan import derivatives_of, is_final, runs_backward, scan_dependencies
from ...ir.types import Dim
from ...support.errors import GraphError
from .node_kinds import is_view

Directions = Mapping[tuple[Node, Dim | None], bool]
"""Map from a value and a loop length to the direction of the loop that computes it: True for backward."""


def settled_directions(graph: Graph) -> Directions:
    """Return the directions of values whose readers do not determine one."""
    directions_by_value: dict[tuple[Node, Dim | None], bool] = {}
    scans = [node for node in graph.nodes if node.op == "scan"]
    for length in dict.fromkeys(scan["length"] for scan in scans):
        own = [scan for scan in scans if scan["length"] == length]
        sources = scan_dependencies(graph.nodes, own)
        derivatives = derivatives_of(own, sources)
        if not derivatives:
            continue
        directions = {scan["reverse"] for scan in own if scan not in derivatives}
        if len(directions) == 1 and directions.isdisjoint(scan["reverse"] for scan in derivatives):
            sums = _of_sums(graph, own, derivatives, sources)
            settled = _of_blocks(graph, own, sums) | sums
        else:
            settled = _of_both_ways(graph, own)
        directions_by_value |= {(node, length): backward for node, backward in settled.items()}
    return directions_by_value


def _of_both_ways(graph: Graph, scans: Collection[Node]) -> dict[Node, bool]:
    """Choose directions for values computed from bidirectional recurrences.

    A sum over time runs with the last recurrence whose steps it reads, and forward if there are two. A value read only
    by scans that recompute blocks, or only by scans that save states for them, has the direction of these scans.
    """
    depth: dict[Node, int] = {}
    last: dict[Node, tuple[int, bool]] = {}
    for node in graph.nodes:
        depth[node] = max((depth[item] for item in node.operands), default=0)
        last[node] = max((last[item] for item in node.operands), default=(0, True))
        if node in scans:
            depth[node] += node.get("blocks") is None
            last[node] = depth[node], not runs_backward(node)
    users = graph.users()
    cut = [scan for scan in scans if (scan.get("keeps"), scan.get("blocks")) != (None, None)]
    backward = {scan: runs_backward(scan) for scan in cut}
    for node in reversed(graph.nodes):
        readers = {backward.get(user) for user in users[node]}
        if node.op not in ("scan", "get") and len(readers) == 1 and (direction := readers.pop()) is not None:
            backward[node] = direction
    return backward | {node: not last[node][1] for node in graph.nodes if adds_up(node)}


def _of_sums(
    graph: Graph, scans: Sequence[Node], derivatives: Sequence[Node], dependencies: Mapping[Node, frozenset[Node]]
) -> dict[Node, bool]:
    """Choose directions for sums over time next to recurrences in one direction.

    A sum that no recurrence and no derivative reads runs with the derivative, any other with the forward recurrence.
    """
    direction = not derivatives[0]["reverse"]
    sums = [node for node in graph.nodes if adds_up(node)]
    read = {*topological([item for scan in scans for item in scan.operands])}
    return {
        node: direction if node in read and dependencies[node].isdisjoint(derivatives) else not direction
        for node in sums
    }


def _of_blocks(graph: Graph, scans: Iterable[Node], sums: Mapping[Node, bool]) -> dict[Node, bool]:
    """Choose directions for recomputed blocks, and for values computed from them.

    Scans that save states have their own direction, as have all other values connected with them.
    """
    recomputed = [scan for scan in scans if scan.get("blocks") is not None]
    keeping = [scan for scan in scans if scan.get("keeps") is not None]
    if not recomputed:
        return {}
    against = [scan for scan in scans if runs_backward(scan) == runs_backward(recomputed[0])]
    late = dependents(against, graph.nodes)
    early = dependents(keeping, graph.nodes) - late
    movable = early.difference(topological(keeping))
    late |= _spread(graph, movable, keeping[0]["length"])
    late_sums = {node for node, backward in sums.items() if backward == runs_backward(recomputed[0])}
    late |= _read_late(graph, movable - late, late | late_sums, keeping[0]["length"])
    directions = {node: runs_backward(keeping[0]) for node in topological([*keeping, *early.difference(late)])}
    return directions | {node: runs_backward(recomputed[0]) for node in late}


def _spread(graph: Graph, values: Collection[Node], length: Dim) -> set[Node]:
    """Return those of ``values`` that broadcast one step's value, and can therefore run in any loop over time."""
    spread_values = set[Node]()
    for node in graph.nodes:
        computed = node in values and node.op not in ("scan", "get") and _has_steps(node, length)
        if computed and all(
            item in spread_values for item in node.operands if item in values and _has_steps(item, length)
        ):
            spread_values.add(node)
    return spread_values


def _read_late(graph: Graph, values: Collection[Node], late: Collection[Node], length: Dim) -> set[Node]:
    """Return those of ``values`` that have a time axis and whose readers are all in ``late``."""
    users, late_nodes = graph.users(), set[Node]()
    for node in reversed(graph.nodes):
        is_movable = node in values and node.op not in ("scan", "get") and _has_steps(node, length) and users[node]
        if is_movable and all(user in late or user in late_nodes for user in users[node]):
            late_nodes.add(node)
    return late_nodes


def _has_steps(node: Node, length: Dim) -> bool:
    """True if a value has a time axis of ``length``."""
    is_result = node.op == "scan" or (node.op == "get" and is_final(node))
    return not is_result and node.tensor.rank > 0 and node.shape[0] == length


def check_blocks(inside: Collection[Node], users: Mapping[Node, Sequence[Node]], outputs: Collection[Node]) -> None:
    """Raise ``GraphError`` if a value needs all steps, but a loop over blocks computes them block by block.

    Args:
        inside: Values of a loop over blocks.
    """
    for node in inside:
        if node.op != "get" or node.operands[0].get("blocks") is None:
            continue
        pending = [*users[node]]
        while pending:
            user = pending.pop()
            if is_view(user) and user not in outputs:
                pending += users[user]
            elif user not in inside and user not in outputs:
                raise GraphError(
                    f"{user.name or user.op} reads all steps of a recurrence together, which can't be recomputed in "
                    "blocks; train without recompute=",
                    user.where or node.where,
                )
