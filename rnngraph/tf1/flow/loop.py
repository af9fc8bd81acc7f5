"""A loop whose step is a function: declared once, and run by a driver as a cell is, with states of any shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...declare.cell import Cell, Scope
from ...declare.driver import Carry, drive
from ...declare.functions import basic as functions
from ...declare.parameters import ScopeName, Specs
from ...declare.tensor import Tensor, constant
from ...declare.trace import Trace, tracing
from ...ir.graph import Node, make, remake, topological
from ...ir.types import Dim, TensorType, meet_declared
from ...support.api_guard import taking
from ...support.errors import DtypeError, GraphError, ShapeError, shown, user_line
from ..core.branch import Branch
from ..core.graph import get_default_graph
from ..core.names import dtype_name
from ..core.operations import Operation
from ..core.tensors import TfTensor
from ..ops.functions import constant as tf_constant
from ..table.missing import GUIDE


class LoopStep(Cell):
    """The step of a loop that a program gives as functions. It carries nothing as cells do."""

    adds_scope = False

    def __init__(self, what: str) -> None:
        self.what = what

    def state(self) -> Any:
        return {}

    def __repr__(self) -> str:
        return self.what


class Loop:
    """One loop in the making. what: names it in errors.

    sequences, carried, emits: what its steps read, hand on and give, of which each has a name in the step.
    """

    def __init__(self, what: str, base: str) -> None:
        self.what, self.where = what, user_line()
        self.scope = ScopeName(base, False, self.where)
        self.trace = Trace("float32", self.where)
        self.sequences: list[tuple[Node, Tensor]] = []
        self.carried: list[Carry] = []
        self.emits: list[Node] = []
        self._owners: list[Tensor] = []

    def formal(self, label: str, kind: TensorType) -> Tensor:
        """A name in the step."""
        return TfTensor(make("input", where=self.where, type=kind, label=label, body=True))

    def element(self, sequence: Tensor) -> Tensor:
        """What a step reads of a sequence [steps, …]."""
        made = self.formal("x", sequence.type.with_shape(sequence.type.shape[1:]))
        self.sequences.append((made.node, sequence))
        return made

    def carry(self, formal: Tensor, following: Tensor, initial: Tensor) -> None:
        """Hands a value on from step to step."""
        self.carried.append(Carry(formal.node, following.node, initial))

    @contextmanager
    def step(self) -> Iterator[None]:
        """Within it, functions of the program declare a step."""
        graph = get_default_graph()
        outer, graph.within = graph.within, self._owners
        graph.steps.append(Scope(self.trace, "", "", Specs(), ""))  # cells that are called are parts of the step
        try:
            with graph.own_order(), tracing(self.what):
                yield
        finally:
            graph.within = outer
            graph.steps.pop()

    def following(self, value: Any, formal: Tensor, place: Any) -> Tensor:
        """What a step makes of a value that it hands on, which keeps dtype and shape. place: names it in errors."""
        found = as_value(value, formal.dtype, f"{self.what}: what its step makes of variable {place}")
        if found.dtype != formal.dtype or not fits(found, formal):
            raise ShapeError(
                f"{self.what}: variable {place} is {formal.type} and its step makes {found.type} of it; what a loop "
                "carries keeps its dtype and its shape"
            )
        return found

    def declared(
        self, length: Dim, reverse: bool = False, when: Node | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Final values of what is carried, and what steps gave, each with a first axis of steps.

        when: the name of what is carried that says whether a step runs.
        """
        self._check()
        output, *others = self.emits or [constant(0.0).node]
        items = drive(
            LoopStep(self.what), self.trace, self.scope, reverse, (length, 1), self.sequences, None,
            self.carried, output, when, emits=others, has_rows=False,
        )  # fmt: skip
        if self._owners:
            get_default_graph().own(items[0] if self.carried else items[-1])
        count = len(self.carried)
        return items[:count], items[count:] if self.emits else []

    def _check(self) -> None:
        roots = [*self.emits, *(item.following for item in self.carried)]
        for node in topological(roots):
            if node.op == "input" and node.get("gradient") is not None and node["serial"] > self.scope.serial:
                raise GraphError(
                    f"{self.what}: tf.gradients within a step of a loop is not offered; take gradients of what the "
                    f"loop gives ({GUIDE})",
                    node.where,
                )


def as_value(value: Any, dtype: Any, what: str) -> Tensor:
    """A Tensor of what a function of the program gave; numbers take ``dtype``, if it is not None."""
    if isinstance(value, Operation):
        raise DtypeError(
            f"{what} is the operation {value.full}; loops and branches give Tensors, and run no operations ({GUIDE})"
        )
    if isinstance(value, Tensor):
        return value
    if value is None:
        raise DtypeError(f"{what} is None; a function that is given must return Tensors")
    return tf_constant(value, None if dtype is None else dtype_name(dtype))


def called(function: Any, what: str, *arguments: Any) -> Any:
    """What a function of the program gives."""
    if not callable(function):
        raise DtypeError(f"{what} is a function, not {shown(function)}")
    names = [f"argument_{number}" for number in range(1, len(arguments) + 1)]
    return taking(function, what, *names)(*arguments)


def branch(function: Any, what: str, taken: Tensor) -> Any:
    """What a function gives whose value a condition chooses. An operation that it makes runs before nothing."""
    graph = get_default_graph()
    outer = graph.branch
    everywhere = taken if outer is None else functions.logical_and(outer.taken, taken)
    graph.branch = Branch(everywhere, len(graph.steps))
    try:
        return called(function, what)
    finally:
        graph.branch = outer


def fits(one: Tensor, other: Tensor) -> bool:
    """Whether shapes can be one."""
    if one.rank != other.rank:
        return False
    try:
        for a, b in zip(one.type.shape, other.type.shape, strict=True):
            meet_declared(a, b)
    except ValueError:
        return False
    return True


def substituted(roots: Sequence[Node], new: Mapping[Node, Node]) -> list[Node]:
    """Nodes with others in place of some that they are made of."""
    made = dict(new)
    for node in topological(roots, known=made):
        made[node] = remake(node, [made[item] for item in node.operands], meet_declared)
    return [made[root] for root in roots]


def inside_of(roots: Sequence[Node], formals: Sequence[Node]) -> set[Node]:
    """Nodes that depend on names of a step."""
    inside = set(formals)
    for node in topological(roots):
        if any(operand in inside for operand in node.operands):
            inside.add(node)
    return inside


def first_axis(tensors: Sequence[Tensor], what: str) -> Dim:
    """The size of the first axis, which all have in common."""
    for item in tensors:
        if not item.rank:
            raise ShapeError(f"{what} runs over the first axis, and {item!r} has none")
    length = tensors[0].type.shape[0]
    for item in tensors[1:]:
        try:
            length = meet_declared(length, item.type.shape[0])
        except ValueError:
            raise ShapeError(f"{what} runs over {length} and {item.type.shape[0]} entries at once") from None
    return length


Function = Callable[..., Any]
