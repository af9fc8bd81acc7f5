"""Ops and nodes: a row of the table defines an op, and a node is one use of the op."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import field
from typing import Any

from ..support.errors import Where
from ..support.records import dataclass
from .axis_maps import Fate
from .numbers.evaluation import Evaluate as Evaluate  # re-exported: a column of Op
from .type_rules import Infer
from .types import Dim, Shape, TensorType, Type

Attributes = tuple[tuple[str, Any], ...]
AttributeRule = Callable[[Any, "Node"], bool]
"""Function from an attribute's value and its node to True if the value is valid. Type rules check shapes."""

OperandAdjoints = Sequence["Node | None"]
Derivative = Callable[["Node", "Node"], OperandAdjoints]
"""Function from a node and the adjoint of its value to the adjoints of its operands."""

Linear = Sequence[Set[int]]
"""Sets of operand indices. An op is jointly linear in the operands of each set if all other operands are constant."""

INSTRUCTION, DIVISION, FUNCTION, DRAW = "instruction", "division", "function", "draw"
"""Cost classes of elementwise ops.

``INSTRUCTION`` is one or two vector instructions. ``DIVISION`` is one slow instruction: a division or a square root.
``FUNCTION`` is a polynomial of ``vecmath``. ``DRAW`` is a random number.
"""


@dataclass(frozen=True)
class AxisColumn:
    """Axis column of a row in the table of ops.

    Attributes:
        fate: Function from a node, an operand's index and an axis of the operand to the axis map.
        by_place: Function from a node to the axes of the result along which elements depend on their position, and not
            only on operands.
        linear: Function from a node to the operands in which the op is linear.
    """

    fate: Callable[[Node, int, int], Fate]
    by_place: Callable[[Node], Set[int]]
    linear: Callable[[Node], Linear]


@dataclass(frozen=True)
class Op:
    """Row of the table of ops.

    Attributes:
        name: Name of the op.
        kind: ``leaf``, ``elementwise``, ``contraction``, ``reduction``, ``movement`` or ``structured``.
        arity: Minimum and maximum number of operands.
        infer: Type rule.
        evaluate: Value in NumPy, which defines the op. None if a pass must replace the op.
        derivative: Derivative rule. None for leaves, for scans, and for ops that a pass replaces before
            differentiation.
        axes: How the op maps the axes of its operands.
        cost: Cost class of an elementwise op.
        keeps_zero: True if the value is 0 whenever all operands other than bools are 0.
        random: True if the value depends on a seed. Random ops are forbidden in the inference graph.
        until: Name of the pass that replaces the op, or "".
        attributes: Predicate of each attribute.
        optional: Attributes that a node may lack.
    """

    name: str
    kind: str
    arity: tuple[int, int]
    infer: Infer
    evaluate: Evaluate | None
    derivative: Derivative | None
    axes: AxisColumn
    cost: str = INSTRUCTION
    keeps_zero: bool = False
    random: bool = False
    until: str = ""
    attributes: Mapping[str, AttributeRule] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    @property
    def is_long(self) -> bool:
        """True if a value costs more to recompute than to store."""
        return self.cost in (DIVISION, FUNCTION)


OPS: dict[str, Op] = {}
"""The closed table of ops by name. ``ops`` and ``elementwise_ops`` fill it."""
MATRIX_PRODUCTS = ("matmul", "block_matmul")
"""Ops that multiply rows by a matrix."""


def row(
    name: str,
    kind: str,
    arity: int | tuple[int, int],
    infer: Infer,
    column: AxisColumn | None = None,
    evaluate: Evaluate | None = None,
    derivative: Derivative | None = None,
    cost: str = INSTRUCTION,
    keeps_zero: bool = False,
    random: bool = False,
    until: str = "",
    optional: tuple[str, ...] = (),
    **attributes: AttributeRule,
) -> None:
    """Add an op to the table of ops: its type rule, axis rule, NumPy function, derivative and attributes.

    ``column`` is the axis column, which is required.
    """
    if not isinstance(column, AxisColumn):
        raise TypeError(
            f"the row of {name} does not say what the op does to the axes of its operands; "
            "pass an axis column of ir/axis_rules.py after the type rule"
        )
    bounds = (arity, arity) if isinstance(arity, int) else arity
    OPS[name] = Op(
        name,
        kind,
        bounds,
        infer,
        evaluate,
        derivative,
        column,
        cost,
        keeps_zero,
        random,
        until,
        attributes,
        frozenset(optional),
    )


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One value of a graph in SSA form. Nodes compare by identity.

    Attributes:
        op: Name of the op.
        operands: Nodes that the op reads.
        type: Type of the value.
        attributes: Names and values of the op's attributes, sorted by name.
        where: Line of the user's script.
        name: Name of the value.
        is_inferred: True if the op's strict type rule gave the type, so that the verifier need not apply it again.
    """

    op: str
    operands: tuple[Node, ...]
    type: Type
    attributes: Attributes = ()
    where: Where | None = None
    name: str = ""
    is_inferred: bool = field(default=False, init=False)

    def __getitem__(self, key: str) -> Any:
        for name, value in self.attributes:
            if name == key:
                return value
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        for name, value in self.attributes:
            if name == key:
                return value
        return default

    @property
    def tensor(self) -> TensorType:
        assert isinstance(self.type, TensorType), f"{self.op} gives a tuple"
        return self.type

    @property
    def shape(self) -> tuple[Dim, ...]:
        assert isinstance(self.type, TensorType), f"{self.op} gives a tuple"
        return self.type.shape

    @property
    def dtype(self) -> str:
        assert isinstance(self.type, TensorType), f"{self.op} gives a tuple"
        return self.type.dtype

    def __repr__(self) -> str:
        return f"<{self.op} {self.name} : {self.type}>"


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield every node. The nodes of a scan's body follow the scan."""
    for node in nodes:
        yield node
        if node.op == "scan":
            yield from walk(node["body"].nodes)


def topological(roots: Iterable[Node], known: Iterable[Node] = ()) -> tuple[Node, ...]:
    """Return ``roots`` and all nodes on which they depend in topological order, operands first.

    Traversal stops at ``known`` nodes, which are not returned. It is iterative, because graphs may be deeper than
    Python's stack. A set or mapping of known nodes is not copied.
    """
    order: list[Node] = []
    known = known if isinstance(known, Set | Mapping) else set(known)
    done: set[Node] = set()
    for root in roots:
        stack: list[Node | None] = [root]
        while stack:
            node = stack.pop()
            if node is None:  # the operands of the next node have been visited
                node = stack.pop()
                assert node is not None
                done.add(node)
                order.append(node)
            elif node not in done and node not in known:
                if node.operands:
                    stack += (node, None)
                    stack += node.operands[::-1]  # so that the first operand is on top
                else:
                    done.add(node)
                    order.append(node)
    return tuple(order)


def dependents(roots: Iterable[Node], nodes: Iterable[Node]) -> set[Node]:
    """Return the roots and all of ``nodes`` that depend on a root. ``nodes`` must be in topological order."""
    reached = set(roots)
    for node in nodes:
        if any(operand in reached for operand in node.operands):
            reached.add(node)
    return reached


def is_scalar_broadcast(node: Node) -> bool:
    """True for a scalar that is broadcast, such as padding."""
    return node.op == "broadcast" and not node.operands[0].tensor.rank


def moves_only_ones(transposed: Node) -> bool:
    """True if a transpose only moves axes of size 1, so that the order in memory is unchanged."""
    kept = [axis for axis in transposed["order"] if transposed.operands[0].shape[axis] != 1]
    return kept == sorted(kept)


def inverse_order(order: Sequence[int]) -> tuple[int, ...]:
    """Return the order of axes of the transpose that reverts a transpose with ``order``."""
    return tuple(order.index(axis) for axis in range(len(order)))


def permuted_bounds(part: Node, order: Sequence[int]) -> dict[str, Any]:
    """Return ``start``, ``stop`` and ``step`` of the slice ``part`` for its operand transposed by ``order``."""
    return {key: tuple(part[key][axis] for axis in order) for key in ("start", "stop", "step")}


def merged_axes(shape: Shape, merged: Shape) -> list[list[int]] | None:
    """Return, for each axis of ``merged``, the axes of ``shape`` that a reshape merges into it; None if it splits any.

    An added axis of size 1 merges no axes. Return None also if ``merged`` has no axes.
    """
    groups, axis = list[list[int]](), 0
    for dim in merged:
        groups.append([])
        size: Dim = 1
        while size != dim and axis < len(shape):
            groups[-1].append(axis)
            size, axis = size * shape[axis], axis + 1
        if size != dim:
            return None
    if groups and all(dim == 1 for dim in shape[axis:]):
        groups[-1] += range(axis, len(shape))
        return groups
    return None


def is_batched_product(node: Node) -> bool:
    """True for a product of batches of matrices, in which each left matrix has a separate right matrix."""
    return node.op == "matmul" and node.operands[1].tensor.rank > 2


def is_tile_product(node: Node) -> bool:
    """True for a matmul whose factors are rounded to bfloat16, as a matrix unit does."""
    return node.op == "matmul" and bool(node.get("rounded"))


@dataclass
class Namer:
    """Generator of unique names. It appends a number to a name that is in use."""

    used: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def __call__(self, wanted: str) -> str:
        """Return ``wanted``, with a number appended if that name is in use."""
        name = wanted
        while name in self.used:
            self.counts[wanted] = self.counts.get(wanted, 0) + 1
            name = f"{wanted}_{self.counts[wanted]}"
        self.used.add(name)
        return name
