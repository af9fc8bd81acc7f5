"""Loops whose step is a Python function. The function is called once, and a driver repeats what it declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...declare.cell import Cell, Scope
from ...declare.driver import Carry, Iteration, Rows, TracedStep, drive
from ...declare.functions import basic as functions
from ...declare.parameters import ScopeName, Specs
from ...declare.tensor import Tensor, constant
from ...declare.trace import Trace, tracing
from ...ir.graph import Node, make, remake, topological
from ...ir.types import Dim, TensorType, unify_declared
from ...support.api_guard import taking
from ...support.errors import DtypeError, GraphError, ShapeError, shown, user_line
from ..core.branch import Branch
from ..core.dtypes import dtype_name
from ..core.graph import get_default_graph
from ..core.operations import Operation
from ..core.tensors import TfTensor
from ..ops.functions import constant as tf_constant
from ..table.missing import GUIDE


class LoopStep(Cell):
    """Cell that represents the step of a loop. It declares no states; ``Loop.carried`` has the loop variables."""

    adds_scope = False

    def __init__(self, what: str) -> None:
        self.what = what

    def state(self) -> Any:
        return {}

    def __repr__(self) -> str:
        return self.what


class Loop:
    """Loop under construction.

    Attributes:
        what: Name of the loop in errors.
        sequences: Pairs (parameter of the step, sequence [steps, …]). Each step reads one entry of the sequence.
        carried: Loop variables.
        emits: Nodes of the step whose values of all steps are results of the loop.
    """

    def __init__(self, what: str, base: str) -> None:
        self.what, self.where = what, user_line()
        self.scope = ScopeName(base, False, self.where)
        self.trace = Trace("float32", self.where)
        self.sequences: list[tuple[Node, Tensor]] = []
        self.carried: list[Carry] = []
        self.emits: list[Node] = []
        self._owners: list[Tensor] = []

    def param(self, label: str, kind: TensorType) -> Tensor:
        """Return a new parameter of the step: a Tensor that has another value at each step."""
        return TfTensor(make("input", where=self.where, type=kind, label=label, body=True))

    def element(self, sequence: Tensor) -> Tensor:
        """Declare a sequence [steps, …], and return the entry that a step reads."""
        param = self.param("x", sequence.type.with_shape(sequence.type.shape[1:]))
        self.sequences.append((param.node, sequence))
        return param

    def carry(self, param: Tensor, following: Tensor, initial: Tensor) -> None:
        """Declare a loop variable, by its parameter in the step, next value and initial value."""
        self.carried.append(Carry(param.node, following.node, initial))

    @contextmanager
    def step(self) -> Iterator[None]:
        """Enter the step. Declarations within the block belong to the step."""
        graph = get_default_graph()
        outer, graph.within = graph.within, self._owners
        # With a scope of the step in the graph, cells that the program calls become parts of the step.
        graph.steps.append(Scope(self.trace, "", "", Specs(), ""))
        try:
            with graph.hidden_control_dependencies(), tracing(self.what):
                yield
        finally:
            graph.within = outer
            graph.steps.pop()

    def following(self, value: Any, param: Tensor, place: Any) -> Tensor:
        """Convert a step's result to the next value of a loop variable, which must keep its dtype and shape.

        Args:
            value: Result of the program's function.
            param: Parameter of the step for the variable.
            place: Index or name of the variable, for errors.
        """
        result = as_value(value, param.dtype, f"{self.what}: the next value of variable {place}")
        if result.dtype != param.dtype or not fits(result, param):
            raise ShapeError(
                f"{self.what}: variable {place} is {param.type}, but the step returns {result.type}; it "
                "must keep its dtype and shape"
            )
        return result

    def declared(
        self, length: Dim, reverse: bool = False, when: Node | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Build the driver. Return the final values of loop variables, and the results of steps [steps, …].

        Args:
            length: Number of steps.
            reverse: True if the last step runs first.
            when: Boolean parameter of the step. The step is skipped if it is False. None: no step is skipped.
        """
        self._check_gradients()
        outputs = self.emits or [constant(0.0).node]
        step = TracedStep(LoopStep(self.what), self.trace, self.scope, self.sequences, self.carried, outputs)
        items = drive(step, Iteration(length, reverse, when, has_rows=False), Rows())
        if self._owners:
            get_default_graph().own(items[0] if self.carried else items[-1])
        count = len(self.carried)
        return items[:count], items[count:] if self.emits else []

    def _check_gradients(self) -> None:
        """Raise ``GraphError`` if the step declares a gradient, which is a placeholder that only whole runs feed."""
        roots = [*self.emits, *(item.next for item in self.carried)]
        for node in topological(roots):
            if node.op == "input" and node.get("gradient") is not None and node["serial"] > self.scope.serial:
                raise GraphError(
                    f"{self.what}: tf.gradients in a step of a loop is not offered; take gradients of the loop's "
                    f"results ({GUIDE})",
                    node.where,
                )


def in_order_of(structure: Any, nest: Any) -> Any:
    """Return ``nest`` with the entries of its dicts in the order of the corresponding dicts of ``structure``.

    Parts that differ in keys or lengths are unchanged.
    """
    if isinstance(structure, dict) and isinstance(nest, dict) and structure.keys() == nest.keys():
        return {key: in_order_of(structure[key], nest[key]) for key in structure}
    is_sequence = isinstance(structure, list | tuple) and isinstance(nest, list | tuple)
    if not is_sequence or len(structure) != len(nest):
        return nest
    items = [in_order_of(part, item) for part, item in zip(structure, nest, strict=True)]
    return type(nest)(*items) if hasattr(nest, "_fields") else type(nest)(items)


def as_value(value: Any, dtype: Any, what: str) -> Tensor:
    """Convert a result of the program's function to a Tensor. Numbers and arrays get ``dtype``, unless it is None."""
    if isinstance(value, Operation):
        raise DtypeError(f"{what} is the operation {value.full}; return Tensors from loops and branches ({GUIDE})")
    if isinstance(value, Tensor):
        return value
    if value is None:
        raise DtypeError(f"{what} is None; return Tensors from the function")
    return tf_constant(value, None if dtype is None else dtype_name(dtype))


def call_function(function: Any, what: str, *arguments: Any) -> Any:
    """Call a function of the program, and return its result. Raise ``DtypeError`` if it is not callable."""
    if not callable(function):
        raise DtypeError(f"{what} must be a function, not {shown(function)}")
    names = [f"argument_{number}" for number in range(1, len(arguments) + 1)]
    return taking(function, what, *names)(*arguments)


def call_branch(function: Any, what: str, is_selected: Tensor) -> Any:
    """Call the function of a branch of ``tf.cond``, and return its result. Its declarations belong to the branch.

    Args:
        function: The program's function, without arguments.
        what: Name of the function in errors.
        is_selected: Bool scalar, True if the branch is selected.
    """
    graph = get_default_graph()
    outer = graph.branch
    with_outer = is_selected if outer is None else functions.logical_and(outer.is_selected, is_selected)
    graph.branch = Branch(with_outer, len(graph.steps))
    try:
        return call_function(function, what)
    finally:
        graph.branch = outer


def fits(one: Tensor, other: Tensor) -> bool:
    """True if the shapes of two Tensors can be equal in a run: no sizes are ints that differ."""
    if one.rank != other.rank:
        return False
    try:
        for a, b in zip(one.type.shape, other.type.shape, strict=True):
            unify_declared(a, b)
    except ValueError:
        return False
    return True


def substitute(roots: Sequence[Node], new: Mapping[Node, Node]) -> list[Node]:
    """Return copies of ``roots`` in which the keys of ``new``, at any depth, are replaced by their values."""
    replaced = dict(new)
    for node in topological(roots, known=replaced):
        replaced[node] = remake(node, [replaced[item] for item in node.operands], unify_declared)
    return [replaced[root] for root in roots]


def nodes_of_step(roots: Sequence[Node], params: Sequence[Node]) -> set[Node]:
    """Return the parameters of a step, and the nodes under ``roots`` that depend on them."""
    inside = set(params)
    for node in topological(roots):
        if any(operand in inside for operand in node.operands):
            inside.add(node)
    return inside


def first_axis(tensors: Sequence[Tensor], what: str) -> Dim:
    """Return the size of the first axes of Tensors. Raise ``ShapeError`` if they differ, or a Tensor is a scalar."""
    for item in tensors:
        if not item.rank:
            raise ShapeError(
                f"{what} iterates over the first axis, but {item!r} has none; pass Tensors with at least one axis"
            )
    length = tensors[0].type.shape[0]
    for item in tensors[1:]:
        try:
            length = unify_declared(length, item.type.shape[0])
        except ValueError:
            raise ShapeError(
                f"{what} iterates over Tensors with {length} and {item.type.shape[0]} entries; pass Tensors with first "
                "axes of one size"
            ) from None
    return length


Function = Callable[..., Any]
