"""state_axes: carry a matrix state with its axes in the order in which steps compute fastest.

A step that reads a state [rows, values, keys] by sums over keys adds up the lanes of a vector for each value. With the
state as [rows, keys, values], the sums run over whole vectors. A last axis of a few heads fills no vector, and moves
before keys and values. The pass transposes the initial and the final state outside of the loop, and the vectors within
it.

Law: values are unchanged up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Set

from ...ir.graph import Graph, Node, make, remake, rewrite
from ...ir.node import inverse_order, is_scalar_broadcast
from ...ir.ops import OPS
from ...ir.scan import ScanParts
from ...support.records import NamedTuple, dataclass
from ..loops.large_values import entries, is_large_value
from .large_transposes import is_large_transpose, without_large_transposes
from .matrix_states import state_values

Orders = dict[int, tuple[int, ...]]
"""Order of the axes of carries, as for ``transpose``, by position of the carry."""
MIN_COLUMNS = 8
"""Minimum size of the axis that becomes the last one. Fewer columns fill no vector."""


@dataclass(frozen=True)
class StateAxes:
    """Order the axes of a matrix state: first those that no step sums, then summed ones, and last a wide axis.

    Law: values are unchanged up to the order of sums.
    """

    name: str = "state_axes"

    def __call__(self, graph: Graph) -> Graph:
        changed = dict[Node, Orders]()  # by new scan

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                scan, orders = _with_changed_axes(remake(node, operands))
                if orders:
                    changed[scan] = orders
                return scan
            if node.op == "get" and node["index"] in changed.get(operands[0], {}):
                return _transposed(remake(node, operands), inverse_order(changed[operands[0]][node["index"]]))
            return None

        return rewrite(graph, rule)


def _with_changed_axes(scan: Node) -> tuple[Node, Orders]:
    """Return the scan with reordered axes of carries, and the new orders; if none, the scan itself and no orders."""
    changed: Orders = {}
    if scan.get("keeps") or scan.get("blocks"):
        return scan, changed
    body = scan["body"]
    for group in _groups(scan):
        order = _order(body, group.values)
        orders = {} if order is None else dict.fromkeys(group.carries, order)
        if orders and (new := _with_orders(scan, orders)):
            scan = new
            changed |= orders
    return scan, changed


class _Group(NamedTuple):
    """Matrix carries that steps combine entry by entry.

    Attributes:
        carries: Positions of the carries.
        values: The carries, and all values that are computed from them entry by entry.
    """

    carries: Set[int]
    values: Set[Node]


def _groups(scan: Node) -> list[_Group]:
    """Group a scan's matrix carries that steps combine entry by entry, and so must have one order of axes."""
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


def _order(body: Graph, states: Set[Node]) -> tuple[int, ...] | None:
    """Return the order of axes in which steps compute fastest with states; None to keep the order of the states.

    The last axis fills vectors, and is summed by no step. Of the axes before it, those that steps sum come last. The
    order stays if steps sum no axis or sum over rows, if no other axis fills vectors, or if the ranks differ.
    """
    ranks = {node.tensor.rank for node in states}
    summed = {
        axis
        for node in body.nodes
        if OPS[node.op].kind == "reduction" and node.operands[0] in states
        for axis in node["axes"]
    }
    if len(ranks) > 1 or not summed or 0 in summed:
        return None
    last = max(ranks) - 1

    def is_wide(axis: int) -> bool:
        return all(entries(node.shape[axis : axis + 1]) >= MIN_COLUMNS for node in states)

    new_last = last
    if last in summed or not is_wide(last):
        candidates = [axis for axis in range(1, last) if axis not in summed and is_wide(axis)]
        if not candidates:
            return None
        new_last = candidates[-1]
    before = [axis for axis in range(1, last + 1) if axis != new_last]
    order = (0, *sorted(before, key=lambda axis: axis in summed), new_last)
    return None if order == tuple(range(last + 1)) else order


def _with_orders(scan: Node, orders: Orders) -> Node | None:
    """Return the scan with the axes of some carries reordered; None if its steps would have to transpose matrices."""
    parts, new = ScanParts.of(scan), dict[Node, Node]()
    values = {param: param for param in parts.inputs}
    for place, order in orders.items():
        param = parts.carries[place].inside
        kind = param.tensor.with_shape(tuple(param.shape[axis] for axis in order))
        new[param] = make("input", where=param.where, name=param.name, label=param["label"], type=kind)
        values[param] = _transposed(new[param], inverse_order(order))
    params = [new.get(param, param) for param in parts.inputs]
    for node in scan["body"].nodes:
        if node not in values:
            values[node] = remake(node, [values[item] for item in node.operands])
    outputs = [
        (name, _transposed(values[node], orders[place]) if place in orders else values[node])
        for place, (name, node) in enumerate(parts.outputs)
    ]
    body = without_large_transposes(Graph.of("body", outputs, params))
    if any(map(is_large_transpose, body.nodes)):
        return None
    operands = [
        _transposed(item, orders[place]) if place in orders else item for place, item in enumerate(scan.operands)
    ]
    return ScanParts.of(scan, operands, body).build(scan.where, scan.name)


def _transposed(node: Node, order: tuple[int, ...]) -> Node:
    """Transpose a value. The transpose of a broadcast scalar is a broadcast to the new shape."""
    source = node
    while source.op == "reshape":
        source = source.operands[0]
    if is_scalar_broadcast(source):
        shape = tuple(node.shape[axis] for axis in order)
        return make("broadcast", source.operands[0], where=node.where, name=node.name, shape=shape)
    return make("transpose", node, where=node.where, name=node.name, order=order)
