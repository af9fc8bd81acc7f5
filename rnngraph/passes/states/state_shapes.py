"""state_shapes: carry a flat state in the shape in which its steps compute.

Cells that store a matrix as one row start and end a step with a ``reshape``. The pass moves both out of the loop. A
step can then update its state in place, and later passes know its axes. The pass also moves the reshapes of states that
a backward loop reads step by step.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...ir.graph import Graph, Node, make, remake, rewrite
from ...ir.ops import OPS
from ...ir.scan import Binding, Carry, ScanParts
from ...ir.types import Shape, TensorType
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
class _FlatState:
    """Carry that steps reshape.

    Attributes:
        carry: The flat carry.
        shape: Shape in which steps compute.
        entrywise: Elementwise ops on the flat form, which can run on ``shape`` instead.
    """

    carry: Carry
    shape: Shape
    entrywise: frozenset[Node]


def _with_shaped_states(scan: Node) -> Node:
    """Return the scan with each state in the shape in which its steps compute."""
    parts, body = ScanParts.of(scan), scan["body"]
    users = body.users()
    states = {carry.inside: _flat_state(carry, users) for carry in parts.carries}
    flat = {param: state for param, state in states.items() if state is not None and param is not parts.when}
    sequences = {
        item.inside: shape for item in parts.sequences if (shape := _read_shape(item.inside, users[item.inside]))
    }
    if not flat and not sequences:
        return scan
    new: dict[Node, Node] = {}  # new values, in the old shapes
    shaped: dict[tuple[Node, Shape], Node] = {}  # new values, in the shape in which steps compute
    for param, shape in [*((param, state.shape) for param, state in flat.items()), *sequences.items()]:
        kind = param.tensor.with_shape(shape)
        inside = make("input", where=param.where, name=param.name, label=param["label"], type=kind)
        shaped[param, shape], new[param] = inside, _in_shape(inside, param.shape)
    for node in body.nodes:
        if node in new:
            continue
        matching = [state for state in flat.values() if node in state.entrywise]
        if matching:
            state = matching[0]
            parts_in_shape = [
                shaped.get((item, state.shape)) or _over_more_axes(new[item], node.shape, state.shape)
                for item in node.operands
            ]
            shaped[node, state.shape] = remake(node, parts_in_shape)
            new[node] = _in_shape(shaped[node, state.shape], node.shape)
            continue
        inner = [new[item] for item in node.operands]
        new[node] = _in_shape(inner[0], node.shape) if node.op == "reshape" else remake(node, inner)
    carries = []
    for carry in parts.carries:
        if carry.inside not in flat:
            carries.append(carry._replace(next=new[carry.next]))
            continue
        state = flat[carry.inside]
        following = shaped.get((carry.next, state.shape)) or _in_shape(new[carry.next], state.shape)
        first = _in_shape(carry.initial, state.shape)
        carries.append(Carry(shaped[carry.inside, state.shape], first, carry.name, following))
    emits = [(name, new[value]) for name, value in parts.emits]
    read = [
        Binding(shaped[inside, shape], _in_shape(outside, (scan["length"], *shape)))
        if (shape := sequences.get(inside))
        else Binding(inside, outside)
        for inside, outside in parts.sequences
    ]
    return replace(parts, carries=carries, sequences=read, emits=emits).build(scan.where, scan.name)


def _read_shape(param: Node, users: Sequence[Node]) -> Shape | None:
    """Return the shape of higher rank to which every step reshapes a sequence; None if there is none."""
    if any(user.op != "reshape" for user in users):
        return None
    shapes = {user.shape for user in users}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    return shape if len(shape) > param.tensor.rank > 1 and shape[:1] == param.shape[:1] else None


def _flat_state(carry: Carry, users: Mapping[Node, Sequence[Node]]) -> _FlatState | None:
    """Return a state that each step reshapes to a higher rank and back; None for other states."""
    param = carry.inside
    readers = _entrywise_readers(param, users)
    shapes = {user.shape for node in (param, *readers) for user in users[node] if user.op == "reshape"}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    if len(shape) <= param.tensor.rank or shape[:1] != param.shape[:1]:
        return None
    entrywise, pending, is_computed = set[Node](), [carry.next, *readers], False
    while pending:
        node = pending.pop()
        if node in entrywise or node is param:
            continue
        if node.op == "reshape" and node.operands[0].shape == shape:
            is_computed = True
        elif _is_entrywise(node, param):
            entrywise.add(node)
            pending += [item for item in node.operands if not _is_one_per_row(item, param)]
        else:
            return None
    return _FlatState(carry, shape, frozenset(entrywise)) if is_computed else None


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


def _over_more_axes(node: Node, flat: Shape, shape: Shape) -> Node:
    """Reshape an operand that broadcasts to ``flat`` so that it broadcasts to ``shape``, which has more axes."""
    if not node.tensor.rank:
        return node
    return _in_shape(node, shape if node.shape == flat else (node.shape[0], *(1 for _ in shape[1:])))


def _in_shape(node: Node, shape: Shape) -> Node:
    """Reshape a value, unless it has that shape or is a reshape of a value with that shape."""
    while node.op == "reshape":
        node = node.operands[0]
    return node if node.shape == shape else make("reshape", node, where=node.where, name=node.name, shape=shape)
