"""Time directions of sums over time, and of blocks of steps that are recomputed.

The gradient of a weight is a sum over time. Whether residuals are saved or recomputed, the sum adds steps in one
direction, so that its bits are the same.
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
    """Return {(value, loop length): runs backward in time} for sums over time, recomputed blocks, and their dependents.

    Loop fusion chooses the directions of all other values. The result is empty for a graph without derivatives.
    """
    directions_by_value: dict[tuple[Node, Dim | None], bool] = {}
    scans = [node for node in graph.nodes if node.op == "scan"]
    for length in dict.fromkeys(scan["length"] for scan in scans):
        scans_of_length = [scan for scan in scans if scan["length"] == length]
        sources = scan_dependencies(graph.nodes, scans_of_length)
        derivatives = derivatives_of(scans_of_length, sources)
        if not derivatives:
            continue
        directions = {scan["reverse"] for scan in scans_of_length if scan not in derivatives}
        if len(directions) == 1 and directions.isdisjoint(scan["reverse"] for scan in derivatives):
            sums = _sum_directions(graph, scans_of_length, derivatives, sources)
            settled = _block_directions(graph, scans_of_length, sums) | sums
        else:
            settled = _bidirectional_directions(graph, scans_of_length)
        directions_by_value |= {(node, length): backward for node, backward in settled.items()}
    return directions_by_value


def _bidirectional_directions(graph: Graph, scans: Collection[Node]) -> dict[Node, bool]:
    """Return {value: runs backward} for sums over time, and values that scans with blocks read, in bidirectional nets.

    A sum over time has the direction of the last recurrence on which it depends. If the last recurrences have both
    directions, or there is none, the sum runs forward. A value that only scans with blocks of steps read has the
    direction of these scans, if they have only one.
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
    block_scans = [scan for scan in scans if (scan.get("keeps"), scan.get("blocks")) != (None, None)]
    backward = {scan: runs_backward(scan) for scan in block_scans}
    for node in reversed(graph.nodes):
        readers = {backward.get(user) for user in users[node]}
        if node.op not in ("scan", "get") and len(readers) == 1 and (direction := readers.pop()) is not None:
            backward[node] = direction
    return backward | {node: not last[node][1] for node in graph.nodes if adds_up(node)}


def _sum_directions(
    graph: Graph, scans: Sequence[Node], derivatives: Sequence[Node], dependencies: Mapping[Node, frozenset[Node]]
) -> dict[Node, bool]:
    """Return {sum over time: runs backward}, for a graph whose recurrences all run in one direction.

    A sum on which a recurrence or derivative depends has the direction of the recurrences, unless it depends on a
    derivative itself. All other sums have the direction of the derivatives.
    """
    direction = not derivatives[0]["reverse"]
    sums = [node for node in graph.nodes if adds_up(node)]
    read = {*topological([item for scan in scans for item in scan.operands])}
    return {
        node: direction if node in read and dependencies[node].isdisjoint(derivatives) else not direction
        for node in sums
    }


def _block_directions(graph: Graph, scans: Iterable[Node], sums: Mapping[Node, bool]) -> dict[Node, bool]:
    """Return {value: its loop runs backward} for recomputed blocks of steps, their readers, and values before them.

    The derivatives' direction is that of values that depend on recomputed blocks or derivatives, of values that only
    such values read, and of values that are equal at every step. Values on which a scan that saves carries depends
    have that scan's direction. So do all other values that depend on it. The result is empty if no block is recomputed.
    """
    recomputed = [scan for scan in scans if scan.get("blocks") is not None]
    keeping = [scan for scan in scans if scan.get("keeps") is not None]
    if not recomputed:
        return {}
    length = recomputed[0]["length"]
    against = [scan for scan in scans if runs_backward(scan) == runs_backward(recomputed[0])]
    with_blocks = dependents(against, graph.nodes)
    early = dependents(keeping, graph.nodes) - with_blocks
    movable = early.difference(topological(keeping))
    with_blocks |= _broadcasts_of_steps(graph, movable, length)
    late_sums = {node for node, backward in sums.items() if backward == runs_backward(recomputed[0])}
    with_blocks |= _read_only_late(graph, movable - with_blocks, with_blocks | late_sums, length)
    directions = {node: runs_backward(keeping[0]) for node in topological([*keeping, *early.difference(with_blocks)])}
    return directions | {node: runs_backward(recomputed[0]) for node in with_blocks}


def _broadcasts_of_steps(graph: Graph, values: Collection[Node], length: Dim) -> set[Node]:
    """Return those of ``values`` that are equal at every step, so that any loop over time can compute them."""
    spread_values = set[Node]()
    for node in graph.nodes:
        computed = node in values and node.op not in ("scan", "get") and _has_steps(node, length)
        if computed and all(
            item in spread_values for item in node.operands if item in values and _has_steps(item, length)
        ):
            spread_values.add(node)
    return spread_values


def _read_only_late(graph: Graph, values: Collection[Node], with_blocks: Collection[Node], length: Dim) -> set[Node]:
    """Return those of ``values`` that have a time axis, and that only ``with_blocks`` and other returned values read.

    Scans, their results, and values without readers are left out.
    """
    users, late_nodes = graph.users(), set[Node]()
    for node in reversed(graph.nodes):
        is_movable = node in values and node.op not in ("scan", "get") and _has_steps(node, length) and users[node]
        if is_movable and all(user in with_blocks or user in late_nodes for user in users[node]):
            late_nodes.add(node)
    return late_nodes


def _has_steps(node: Node, length: Dim) -> bool:
    """True if a value has a time axis of ``length``; False for a scan, and for the final value of a carry."""
    is_result = node.op == "scan" or (node.op == "get" and is_final(node))
    return not is_result and node.tensor.rank > 0 and node.shape[0] == length


def check_blocks(inside: Collection[Node], users: Mapping[Node, Sequence[Node]], outputs: Collection[Node]) -> None:
    """Raise ``GraphError`` if an op reads all steps of a recurrence at once, but a loop recomputes them in blocks.

    Args:
        inside: Values of the loop over blocks.
        users: Readers of values.
        outputs: Outputs of the graph.
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
                    f"{user.name or user.op} reads all steps of a recurrence at once, so they can't be recomputed in "
                    "blocks; train without recompute=",
                    user.where or node.where,
                )
