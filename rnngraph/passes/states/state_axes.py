"""state_axes: carry a matrix state with the axis over which steps sum before the last axis.

A step that reads a state [rows, values, keys] by sums over keys adds up the lanes of a vector for each value. With the
state as [rows, keys, values], the sums run over whole vectors. The pass transposes the initial and the final state
outside of the loop, and the vectors within it.

Law: values are unchanged up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from ...ir.graph import Graph, Node, make, remake, rewrite
from ...ir.node import is_scalar_broadcast
from ...ir.ops import OPS
from ...ir.scan import ScanParts
from ...support.records import dataclass
from ..loops.large_values import entries, is_large_value
from .large_transposes import is_large_transpose, without_large_transposes
from .matrix_states import state_values

MIN_COLUMNS = 8
"""Minimum size of the axis that becomes the last one. Fewer columns fill no vector."""


@dataclass(frozen=True)
class StateAxes:
    """Carry a matrix state with the axis over which steps sum before the last axis.

    Law: values are unchanged up to the order of sums.
    """

    name: str = "state_axes"

    def __call__(self, graph: Graph) -> Graph:
        changed = dict[Node, Set[int]]()  # positions of the carries with other axes, by new scan

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                scan, swapped = _with_changed_axes(remake(node, operands))
                if swapped:
                    changed[scan] = swapped
                return scan
            if node.op == "get" and node["index"] in changed.get(operands[0], ()):
                return _swapped(remake(node, operands))
            return None

        return rewrite(graph, rule)


def _with_changed_axes(scan: Node) -> tuple[Node, Set[int]]:
    """Return a scan with other axes of carries, and the positions of these carries."""
    swapped = set[int]()
    if scan.get("keeps") or scan.get("blocks"):
        return scan, swapped
    for group in _groups(scan):
        if _is_summed_over_last(scan["body"], group.values) and (new := _with_swapped(scan, group.carries)):
            scan = new
            swapped |= group.carries
    return scan, swapped


class _Group(NamedTuple):
    """Matrix carries that steps combine entry by entry: their positions, and all values that are computed so."""

    carries: Set[int]
    values: Set[Node]


def _groups(scan: Node) -> list[_Group]:
    body, groups = scan["body"], list[_Group]()
    for place, param in enumerate(body.inputs[: scan["carries"]]):
        if not is_large_value(param):
            continue
        group = _Group({place}, {node for node in state_values(body, [param]) if is_large_value(node)})
        for other in [other for other in groups if not group.values.isdisjoint(other.values)]:
            groups.remove(other)
            group = _Group(group.carries | other.carries, group.values | other.values)
        groups.append(group)
    return groups


def _is_summed_over_last(body: Graph, states: Set[Node]) -> bool:
    """True if steps sum states over their last axis and not over the one before, which fills vectors."""
    axes = {
        axis - node.operands[0].tensor.rank
        for node in body.nodes
        if OPS[node.op].kind == "reduction" and node.operands[0] in states
        for axis in node["axes"]
    }
    return -1 in axes and -2 not in axes and all(entries(node.shape[-2:-1]) >= MIN_COLUMNS for node in states)


def _with_swapped(scan: Node, carries: Set[int]) -> Node | None:
    """Return a scan with the last two axes of some carries swapped; None if steps would transpose matrices."""
    parts, new = ScanParts.of(scan), dict[Node, Node]()
    for place in carries:
        param = parts.carries[place].inside
        *others, before, last = param.shape
        kind = param.tensor.with_shape((*others, last, before))
        new[param] = make("input", where=param.where, name=param.name, label=param["label"], type=kind)
    params = [new.get(param, param) for param in parts.inputs]
    values = {param: _swapped(new[param]) if param in new else param for param in parts.inputs}
    for node in scan["body"].nodes:
        if node not in values:
            values[node] = remake(node, [values[item] for item in node.operands])
    outputs = [
        (name, _swapped(values[node]) if place in carries else values[node])
        for place, (name, node) in enumerate(parts.outputs)
    ]
    body = without_large_transposes(Graph.of("body", outputs, params))
    if any(map(is_large_transpose, body.nodes)):
        return None
    operands = [_swapped(item) if place in carries else item for place, item in enumerate(scan.operands)]
    return ScanParts.of(scan, operands, body).build(scan.where, scan.name)


def _swapped(node: Node) -> Node:
    """Return a value with its last two axes swapped."""
    *others, before, last = range(node.tensor.rank)
    order, source = (*others, last, before), node
    while source.op == "reshape":
        source = source.operands[0]
    if is_scalar_broadcast(source):
        shape = tuple(node.shape[axis] for axis in order)
        return make("broadcast", source.operands[0], where=node.where, name=node.name, shape=shape)
    return make("transpose", node, where=node.where, name=node.name, order=order)
