"""Recomputation of large states, which a derivative would otherwise read from memory.

A matrix state is much larger than a step's inputs, and its steps are cheap. Running a block of steps again in cache
then costs less than writing every state to memory and reading it back. All other values of the steps are saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

from ...ir.axes.unmixed import unmixed_axes
from ...ir.graph import Graph, Node, make, remake
from ...ir.scan import ScanParts, derivatives_of, is_final, is_kept, scan_dependencies, split_inputs
from ...ir.types import Dim
from ..simplify import drop_dead
from .blocks import is_much_smaller, recomputed_blocks, state_bytes, with_checkpoints

CACHE = 1 << 19
"""Maximum bytes of the states of a block, so that they fit in any L2."""
MIN_STEPS, MAX_STEPS = 8, 64
"""Limits of the number of steps per block. The minimum holds even if the states of a block then exceed ``CACHE``."""


def large_histories(graph: Graph, length: Dim) -> dict[Node, list[Node]]:
    """Return {scan over ``length``: its large results of all steps, which can be recomputed and not saved}."""
    scans = [node for node in graph.nodes if node.op == "scan" and node["length"] == length]
    derivatives = derivatives_of(scans, scan_dependencies(graph.nodes, scans))
    users = graph.users()
    histories = dict[Node, list[Node]]()
    for scan in scans:
        large = [get for get in users[scan] if not is_final(get) and not is_much_smaller(get)]
        if scan not in derivatives and large and _is_cheap(scan) and _only_derivatives_read(large, users, derivatives):
            histories[scan] = large
    return histories


def recompute_large_states(graph: Graph, length: Dim) -> Graph:
    """Recompute the large states of recurrences over ``length``.

    The states of a block fit in cache, for one position along axes that no step mixes, such as rows and heads.
    """
    histories = large_histories(graph, length)
    if not histories:
        return graph
    users = graph.users()
    steps = _steps_in_cache([user for gets in histories.values() for get in gets for user in users[get]])
    large = {get for gets in histories.values() for get in gets}
    new, repeated = dict[Node, Node](), dict[Node, Node]()
    for node in graph.nodes:
        operands = [new[item] for item in node.operands]
        if node in histories:
            new[node] = with_checkpoints(node, operands, steps)
            repeated[node] = recomputed_blocks(node, operands, new[node], steps)
        elif node in large:
            new[node] = make("get", repeated[node.operands[0]], where=node.where, name=node.name, index=node["index"])
        else:
            new[node] = remake(node, operands)
    outputs = [(name, new[node]) for name, node in graph.outputs]
    return drop_dead(Graph.of(graph.name, outputs, graph.inputs, graph.comments))


def _steps_in_cache(derivatives: Iterable[Node]) -> int:
    """Return the number of steps per block whose states fit in cache, for recurrences that run together."""
    steps = MAX_STEPS
    for scan in dict.fromkeys(derivatives):
        alike = prod(axis.size for axis in unmixed_axes(scan) if isinstance(axis.size, int))
        while steps > MIN_STEPS and steps * state_bytes(scan) // alike > CACHE:
            steps //= 2
    return steps


def _is_cheap(scan: Node) -> bool:
    """True if running steps again is cheaper than reading their states from memory.

    A step must have no products and no nested scans. Its largest state must have at least four times the bytes of the
    entries that it reads. Scans that skip steps or already save checkpoints are excluded.
    """
    parts = ScanParts.of(scan)
    if parts.when is not None or parts.keeps is not None or parts.blocks is not None:
        return False
    if any(node.op in ("matmul", "scan") for node in scan["body"].nodes):
        return False
    read = sum(binding.inside.tensor.bytes_at(1) for binding in parts.sequences)
    return 4 * read <= state_bytes(scan)


def _only_derivatives_read(
    gets: Sequence[Node], users: Mapping[Node, Sequence[Node]], derivatives: Sequence[Node]
) -> bool:
    """True if derivatives of the opposite direction, and nothing else, read each of ``gets`` one step at a time."""
    for get in gets:
        scan = get.operands[0]
        if is_kept(get) or not users[get]:
            return False
        for user in users[get]:
            if user not in derivatives or user["reverse"] == scan["reverse"] or user["length"] != scan["length"]:
                return False
            initial, _, invariants = split_inputs(user, user.operands)
            if get in (*initial, *invariants):
                return False
    return True
