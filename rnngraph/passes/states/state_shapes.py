"""state_shapes: carry a flat state in the shape in which its steps compute.

Cells that store a matrix, or the units of several heads, as one row start and end a step with a ``reshape``. The pass
moves both out of the loop. A step can then update its state in place, and later passes know its axes. States that a
step combines with such a state entry by entry get its shape. The pass also moves the reshapes of sequences, such as
states that a backward loop reads step by step.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from ...ir.graph import Graph, Node, make, remake, rewrite
from ...ir.node import is_scalar_broadcast
from ...ir.ops import OPS
from ...ir.scan import Binding, Carry, ScanParts
from ...ir.types import Dim, Shape, TensorType
from ...support.records import dataclass


@dataclass(frozen=True)
class StateShapes:
    """Carry a flat state in the shape in which its steps compute.

    Law: values are unchanged, bit for bit.
    """

    name: str = "state_shapes"

    def __call__(self, graph: Graph) -> Graph:
        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                return _with_shaped_states(remake(node, operands))
            if node.op == "get" and operands != node.operands:
                return _in_shape(remake(node, operands), node.shape)
            return None

        return rewrite(graph, rule)


@dataclass(frozen=True)
class _FlatStates:
    """Carries that steps combine entry by entry, in a shape to which steps reshape one of them.

    Attributes:
        carries: The flat carries, as inputs of the body.
        shape: Shape in which steps compute.
        entrywise: Elementwise ops on the flat form, which can run on ``shape`` instead.
    """

    carries: frozenset[Node]
    shape: Shape
    entrywise: frozenset[Node]


def _with_shaped_states(scan: Node) -> Node:
    """Return the scan with each state in the shape in which its steps compute."""
    parts, body = ScanParts.of(scan), scan["body"]
    users = body.users()
    groups = _groups(parts, users)
    shapes = {param: group.shape for group in groups for param in group.carries}
    homes = {node: group.shape for group in groups for node in group.entrywise}
    sequences = {
        item.inside: shape
        for item in parts.sequences
        if item.inside is not parts.when and (shape := _read_shape(item.inside, users[item.inside], homes))
    }
    if not shapes and not sequences:
        return scan
    new: dict[Node, Node] = {}  # new values, in the old shapes
    shaped: dict[tuple[Node, Shape], Node] = {}  # new values, in the shape in which steps compute
    for param, shape in [*shapes.items(), *sequences.items()]:
        kind = param.tensor.with_shape(shape)
        inside = make("input", where=param.where, name=param.name, label=param["label"], type=kind)
        shaped[param, shape], new[param] = inside, _in_shape(inside, param.shape)
    for node in body.nodes:
        if node in new:
            continue
        if node in homes:
            shape = homes[node]
            parts_in_shape = [
                shaped.get((item, shape)) or _over_more_axes(new[item], node.shape, shape) for item in node.operands
            ]
            shaped[node, shape] = remake(node, parts_in_shape)
            new[node] = _in_shape(shaped[node, shape], node.shape)
            continue
        inner = [new[item] for item in node.operands]
        new[node] = _in_shape(inner[0], node.shape) if node.op == "reshape" else remake(node, inner)
    carries = []
    for carry in parts.carries:
        if carry.inside not in shapes:
            carries.append(carry._replace(next=new[carry.next]))
            continue
        shape = shapes[carry.inside]
        following = shaped.get((carry.next, shape)) or _in_shape(new[carry.next], shape)
        carries.append(Carry(shaped[carry.inside, shape], _in_shape(carry.initial, shape), carry.name, following))
    emits = [(name, new[value]) for name, value in parts.emits]
    read = [
        Binding(shaped[inside, shape], _in_shape(outside, (scan["length"], *shape)))
        if (shape := sequences.get(inside))
        else Binding(inside, outside)
        for inside, outside in parts.sequences
    ]
    return replace(parts, carries=carries, sequences=read, emits=emits).build(scan.where, scan.name)


def _read_shape(param: Node, users: Sequence[Node], homes: Mapping[Node, Shape]) -> Shape | None:
    """Return the shape of higher rank in which every step reads a sequence; None if there is none.

    ``homes`` has the shapes in which elementwise ops run.
    """
    if any(user.op != "reshape" and (user not in homes or user.shape != param.shape) for user in users):
        return None
    shapes = {homes.get(user, user.shape) for user in users}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    return shape if len(shape) > param.tensor.rank > 1 and shape[:1] == param.shape[:1] else None


def _groups(parts: ScanParts, users: Mapping[Node, Sequence[Node]]) -> list[_FlatStates]:
    """Group a scan's flat states that steps combine entry by entry and compute in one shape of higher rank."""
    groups = list[_FlatStates]()
    for carry in parts.carries:
        if any(carry.inside in group.carries for group in groups):
            continue
        group = _flat_states(carry, parts, users)
        if group and all(group.carries.isdisjoint(other.carries) for other in groups):
            groups.append(group)
    return groups


def _flat_states(carry: Carry, parts: ScanParts, users: Mapping[Node, Sequence[Node]]) -> _FlatStates | None:
    """Return the flat states that are combined with one that each step reshapes to a higher rank and back; or None.

    None for other states, and if steps compute an operand of the elementwise ops in the flat form.
    """
    param = carry.inside
    readers = _entrywise_readers(param, users)
    shapes = {user.shape for node in (param, *readers) for user in users[node] if user.op == "reshape"}
    if len(shapes) != 1 or param is parts.when:
        return None
    (shape,) = shapes
    if len(shape) <= param.tensor.rank or shape[:1] != param.shape[:1]:
        return None
    following = {other.inside: other.next for other in parts.carries if other.inside is not parts.when}
    read = {binding.inside for binding in (*parts.sequences, *parts.invariants)}
    states, entrywise, pending, is_computed = set[Node](), set[Node](), [param, *readers], False
    while pending:
        node = pending.pop()
        if node in entrywise or node in states:
            continue
        if node in following and node.shape == param.shape:
            states.add(node)
            pending.append(following[node])
        elif node.op == "reshape" and _without_ones(node.operands[0].shape) == _without_ones(shape):
            is_computed = True
        elif _is_entrywise(node, param):
            entrywise.add(node)
            pending += [item for item in node.operands if not _is_one_per_row(item, param)]
        elif not is_scalar_broadcast(node) and not _is_row(node, param, read):
            return None
    return _FlatStates(frozenset(states), shape, frozenset(entrywise)) if is_computed else None


def _entrywise_readers(param: Node, users: Mapping[Node, Sequence[Node]]) -> set[Node]:
    """Return the values computed elementwise from a state, and from values with one element per row."""
    entrywise, pending = {param}, [*users[param]]
    while pending:
        node = pending.pop()
        if node in entrywise or not _is_entrywise(node, param):
            continue
        others = [item for item in node.operands if not _is_one_per_row(item, param)]
        if others and all(item in entrywise for item in others):
            entrywise.add(node)
            pending += users[node]  # visited again, because another operand may be elementwise now
    return entrywise - {param}


def _is_entrywise(node: Node, param: Node) -> bool:
    """True for an elementwise op with a result of the state's shape."""
    return OPS[node.op].kind == "elementwise" and not OPS[node.op].random and node.shape == param.shape


def _is_one_per_row(node: Node, param: Node) -> bool:
    """True if a value has one element per row, or is a scalar."""
    if not isinstance(node.type, TensorType):
        return False
    rank = node.tensor.rank
    return rank == 0 or (rank == param.tensor.rank and all(dim == 1 for dim in node.shape[1:]))


def _is_row(node: Node, param: Node, read: Set[Node]) -> bool:
    """True for a value of the state's shape, or for one of its rows, that is a value of ``read`` or a slice of one."""
    source = node.operands[0] if node.op == "slice" else node
    return source in read and node.shape in (param.shape, param.shape[1:])


def _without_ones(shape: Shape) -> list[Dim]:
    return [dim for dim in shape if dim != 1]


def _over_more_axes(node: Node, flat: Shape, shape: Shape) -> Node:
    """Reshape an operand that broadcasts to ``flat`` so that it broadcasts to ``shape``, which has more axes."""
    if not node.tensor.rank:
        return node
    if node.shape == flat[1:]:
        return _in_shape(node, shape[1:])
    return _in_shape(node, shape if node.shape == flat else (node.shape[0], *(1 for _ in shape[1:])))


def _in_shape(node: Node, shape: Shape) -> Node:
    """Reshape a value, unless it has that shape or is a reshape of a value with that shape."""
    while node.op == "reshape":
        node = node.operands[0]
    return node if node.shape == shape else make("reshape", node, where=node.where, name=node.name, shape=shape)
