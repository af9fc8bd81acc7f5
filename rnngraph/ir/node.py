"""Ops and nodes: a row of the table says what an op is, and a node is one use of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from ..support.errors import Where
from .axis_maps import Fate
from .numbers.evaluation import Evaluate as Evaluate  # from here as well: a row has one
from .type_rules import Infer
from .types import Dim, TensorType, Type

Attributes = tuple[tuple[str, Any], ...]
AttributeRule = Callable[[Any, "Node"], bool]
"""Told an attribute's value and the node: whether the value can stand there. That shapes fit is for the type rules."""

OperandAdjoints = Sequence["Node | None"]
Derivative = Callable[["Node", "Node"], OperandAdjoints]
"""Told a node and the adjoint of its value: what each operand receives."""

Linear = Sequence[Set[int]]
"""Sets of operands. An op is linear in those of one set together, while all others stay as they are."""

INSTRUCTION, DIVISION, FUNCTION, DRAW = "instruction", "division", "function", "draw"
"""What an elementwise op costs: a vector instruction or two, one that takes as long as a function (division, root), a
polynomial of ``vecmath``, or a random number.
"""


@dataclass(frozen=True)
class AxisColumn:
    """How an op maps the axes of its operands to those of its result; ``axis_walk`` asks it.

    fate: told a node, the number of an operand and an axis of it: what becomes of the axis. by_place: axes of the
    result along which entries differ by their place alone, and not by what an operand has there. linear: the operands
    in which the op is linear.
    """

    fate: Callable[[Node, int, int], Fate]
    by_place: Callable[[Node], Set[int]]
    linear: Callable[[Node], Linear]


@dataclass(frozen=True)
class Op:
    """A row of the table of ops.

    kind: ``leaf``, ``elementwise``, ``contraction``, ``reduction``, ``movement`` or ``structured``.
    infer: the type rule. axes: what the op does to the axes of its operands.
    evaluate: the value in NumPy, which defines it; None where a pass must replace the op.
    derivative: its rule; None of leaves and of what is differentiated as a whole, or replaced before.
    cost: of an elementwise op. keeps_zero: whether numbers that are all 0 give 0.
    random: whether the value depends on a seed (such ops are forbidden in the inference graph).
    until: the pass that replaces the op, if there is one. attributes: what each may be; optional: those that a node
    can do without.
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
        """Whether the op takes so long that its value is rather kept than computed again."""
        return self.cost in (DIVISION, FUNCTION)


OPS: dict[str, Op] = {}
"""The closed table: ``ops`` has its rows."""


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One value. Compared by identity: two nodes are one only if they are the same object."""

    op: str
    operands: tuple[Node, ...]
    type: Type
    attributes: Attributes = ()
    where: Where | None = None
    name: str = ""

    def __getitem__(self, key: str) -> Any:
        for name, value in self.attributes:
            if name == key:
                return value
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        return next((value for name, value in self.attributes if name == key), default)

    @property
    def tensor(self) -> TensorType:
        assert isinstance(self.type, TensorType), f"{self.op} gives a tuple"
        return self.type

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.tensor.shape

    @property
    def dtype(self) -> str:
        return self.tensor.dtype

    def __repr__(self) -> str:
        return f"<{self.op} {self.name} : {self.type}>"


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """Every node, those of scans' bodies after the scan that holds them."""
    for node in nodes:
        yield node
        if node.op == "scan":
            yield from walk(node["body"].nodes)


def topological(roots: Iterable[Node], known: Iterable[Node] = ()) -> tuple[Node, ...]:
    """All nodes that ``roots`` need, operands first; not ``known`` ones, nor what only those need.

    Iterative: graphs may be deeper than Python's stack. A set or mapping of known ones is not copied.
    """
    order: list[Node] = []
    known = known if isinstance(known, Set | Mapping) else set(known)
    done: set[Node] = set()
    for root in roots:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in done or node in known:
                stack.pop()
                continue
            missing = [other for other in reversed(node.operands) if other not in done and other not in known]
            if missing:
                stack += missing  # the first comes first
            else:
                done.add(node)
                order.append(node)
                stack.pop()
    return tuple(order)


def dependents(roots: Iterable[Node], nodes: Iterable[Node]) -> set[Node]:
    """The roots, and those of ``nodes``, which have operands first, that are computed from one."""
    found = set(roots)
    for node in nodes:
        if any(operand in found for operand in node.operands):
            found.add(node)
    return found


@dataclass
class Namer:
    """Gives out names that were not given out before."""

    taken: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def __call__(self, wanted: str) -> str:
        name = wanted
        while name in self.taken:
            self.counts[wanted] = self.counts.get(wanted, 0) + 1
            name = f"{wanted}_{self.counts[wanted]}"
        self.taken.add(name)
        return name
