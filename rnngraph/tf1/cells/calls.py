"""``cell(x, state)``: one step of a cell, called by the program or by the step of another cell.

Other cells run in a driver: a function such as ``tf.nn.dynamic_rnn``, which runs a cell over time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ...declare.cell import Cell, InnerCell, Scope, Wrapper
from ...declare.driver import Driver
from ...declare.nest import flatten, map_leaves, matched, pack
from ...declare.parameters import ScopeName
from ...declare.running.run import Run
from ...declare.state import named, public
from ...declare.tensor import Tensor, build, constant
from ...ir.types import Size, product
from ...support.errors import CallError, DtypeError, ShapeError, shown, user_line
from ..core.dtypes import dtype_name
from ..core.graph import Graph, get_default_graph
from ..core.operations import runs_after_dependencies
from ..core.scopes import VariableScope, present_scope
from ..core.sizes import anchored, known_size
from ..core.tensors import TfTensor, gives_tensors
from .variables import CellVariables, own_name, variables_of


@runs_after_dependencies
def call_cell(self: Cell, inputs: Tensor, state: Any = None, scope: Any = None) -> tuple[Tensor, Any]:
    """Run one step of a cell. Return (output [batch, width], new state).

    Args:
        inputs: A Tensor [batch, width].
        state: The state, in the structure that ``zero_state`` returns. It is required.
        scope: Name or ``tf.VariableScope`` of the cell's variables. Only the cell's first call reads it.
    """
    if state is None:
        remedy = "pass cell.zero_state(batch_size, dtype), or call tf.nn.dynamic_rnn(cell, inputs)"
        raise CallError(f"{self!r} needs inputs and a state, but got no state; {remedy}")
    graph = get_default_graph()
    variables = variables_of(graph, self, scope)
    where = user_line()
    if not isinstance(inputs, Tensor):
        raise DtypeError(f"inputs of {self!r} must be a Tensor [batch, width], not {shown(inputs)}", where)
    if inputs.rank != 2:
        raise ShapeError(f"inputs of {self!r} must be [batch, width], not {inputs!r}", where)
    if graph.steps:
        trace = replace(graph.steps[-1]._trace, dtype=inputs.dtype)
        result: tuple[Tensor, Any] = InnerCell(trace, "", self, variables, "")(inputs, state)
        return result
    step = build("reshape", inputs, shape=(1, *inputs.type.shape), where=where)
    name = ScopeName(variables.full(own_name(self)) or "cell", False, where, variables)
    outputs, new = Run(step, None, None, False, None, True, name, where).over(self, state)
    parameters = _driver(outputs).names.parameters
    # Parameters of cells in rg.shared have no name yet.
    unowned = {spec for spec, _ in parameters if spec.name is None} - variables.owned
    variables.owned |= unowned
    if variables.has_layers or unowned or any(part.has_layers for part in variables.parts):
        graph.own(outputs)
    return _output_of_step(outputs, new), new


def to_driver_state(state: Any) -> Any:
    """Convert a cell's state to the form of drivers: lists become tuples; Tensors are flattened to [batch, width]."""
    if isinstance(state, dict):
        return {key: to_driver_state(item) for key, item in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*map(to_driver_state, state))
    if isinstance(state, tuple | list):
        return tuple(map(to_driver_state, state))
    if isinstance(state, Tensor) and state.rank > 2:
        batch, *sizes = state.type.shape
        return build("reshape", state, shape=(batch, product(sizes)))
    return state


def _driver(outputs: Tensor) -> Driver:
    """Return the driver that computes time-major ``outputs``."""
    driver: Driver = outputs.node.operands[0]["driver"]
    return driver


def _output_of_step(outputs: Tensor, state: Any) -> Tensor:
    """Return the output [batch, width] of a driver of one step.

    If the cell returned one of its new states as output, the result is the same Tensor as that state.

    Args:
        outputs: Outputs of the driver [1, batch, width].
        state: New state.
    """
    driver = _driver(outputs)
    for following, leaf in zip(driver.body.next_states, flatten(state), strict=True):
        if following is driver.body.output:
            new_state: Tensor = leaf
            return new_state
    return build("reshape", outputs, shape=outputs.type.shape[1:])


@contextmanager
def within_step(p: Scope, name: str) -> Iterator[None]:
    """Enter a cell's variable scope while its step is traced. Cells that are called become parts of the step.

    Args:
        p: Argument ``p`` of the step.
        name: Path of the cell's scope.
    """
    graph, outer = get_default_graph(), present_scope()
    names, owners = graph.name_scope, graph.within
    graph.within = [] if owners is None else owners
    graph.steps.append(p)
    graph.variable_scope = _scope_of(graph, p, name, outer)
    try:
        with graph.hidden_control_dependencies():
            yield
    finally:
        if graph.within and isinstance(p._specs, CellVariables):
            p._specs.has_layers = True
        graph.steps.pop()
        graph.variable_scope, graph.name_scope, graph.within = outer, names, owners


def _scope_of(graph: Graph, p: Scope, path: str, outer: VariableScope) -> VariableScope:
    """Return the variable scope for tracing a cell's step. A later step in the same scope reuses its variables."""
    variables = p._specs
    if not isinstance(variables, CellVariables):  # a cell of rg.shared has variables of its own
        return VariableScope(outer.under(path), outer.reuse, outer.initializer, outer.regularizer, outer.dtype)
    own = path[len(p._at) :].lstrip("/")
    full = variables.full(own)
    reuse = True if own in variables.ran else variables.reuse
    variables.ran.add(own)
    return VariableScope(full, reuse, outer.initializer, outer.regularizer, outer.dtype)


def _variables(self: Cell) -> list[Any]:
    """Variables of the cell; empty before its first step."""
    graph = get_default_graph()
    variables = graph.cells.get(self)
    prefix = None if variables is None else variables.full(own_name(self))
    return [] if prefix is None else graph.get_collection("variables", f"{prefix}/" if prefix else None)


def _trainable_variables(self: Cell) -> list[Any]:
    """Trainable variables of the cell."""
    return [item for item in _variables(self) if item.trainable]


@gives_tensors
def zero_state(self: Cell, batch_size: Any, dtype: Any = "float32") -> Any:
    """Return the cell's initial state: a nest of Tensors [batch_size, width], usually zeros.

    An ``AttentionWrapper`` starts from its ``initial_cell_state``, and an inner cell that overrides ``zero_state`` from
    the result of that method.

    Args:
        batch_size: An int, or a scalar Tensor: an entry of ``tf.shape``, or an int that a run computes before the loop.
        dtype: Dtype of the states.
    """
    zeros = _zeros(self, batch_size, dtype)
    leaves = zip(_own_state(self, batch_size, dtype), flatten(zeros), strict=True)
    return pack(public(self), [zero if leaf is None else leaf for leaf, zero in leaves])


class _CellLister:
    """Stand-in for the argument ``p`` of ``nested_initial_state``, for calls of this method outside of a step."""

    def cell(self, name: str | None, cell: Cell) -> Cell:
        """Return the cell without a scope."""
        return cell


def _own_state(cell: Cell, batch_size: Any, dtype: Any) -> list[Any]:
    """Return the leaves of a cell's initial state. None stands for zeros."""
    carried_leaves = named(cell)
    zeros = [None] * len(flatten(carried_leaves))
    if (
        type(cell).nested_initial_state is Cell.nested_initial_state
        or type(cell).initial_state is not Cell.initial_state
    ):
        return zeros
    requests: Any = cell.nested_initial_state(_CellLister())  # type: ignore[arg-type]  # only its method `cell` is called
    leaves: list[Any] | None = None
    while True:
        try:
            inner = requests.send(leaves)
        except StopIteration as stop:
            state = stop.value
            break
        if not _overrides_zero_state(inner):
            leaves = _own_state(inner, batch_size, dtype)
        else:
            leaves = flatten(to_driver_state(inner.zero_state(batch_size, dtype)))
    return zeros if state is None else matched(carried_leaves, state, f"{cell!r}: its initial state")


def _overrides_zero_state(cell: Cell) -> bool:
    """True if the program overrides the cell's ``zero_state``."""
    return type(cell).zero_state not in (Cell.zero_state, TfCell.zero_state)


def any_overrides_zero_state(cell: Any) -> bool:
    """True if the program overrides ``zero_state`` of the cell or of an inner cell."""
    pending = [cell]
    while pending:
        item = pending.pop()
        if not isinstance(item, Cell):
            continue
        if _overrides_zero_state(item):
            return True
        pending += [item.cell] if isinstance(item, Wrapper) else getattr(item, "cells", ())
    return False


def _zeros(self: Cell, batch_size: Any, dtype: Any) -> Any:
    """Return zeros [batch_size, width] in the structure of the cell's state.

    A scalar Tensor as ``batch_size`` becomes a symbolic size if a run can compute the Tensor before the loop.
    """
    rows = batch_size
    if isinstance(batch_size, Tensor):
        size = known_size(batch_size.node, counted=True)
        rows = Tensor(batch_size.node) if size is None else size
    if not isinstance(rows, Size):
        return Cell.zero_state(self, rows, dtype)
    zero = constant(0.0, dtype_name(dtype))
    return map_leaves(
        lambda leaf: anchored(build("broadcast", zero, shape=(rows, leaf.width)), batch_size), public(self)
    )


class _OverridableProperty:
    """Property that, unlike Python's, an instance overrides by setting an attribute of the same name."""

    def __init__(self, method: Callable[[Cell], Any]) -> None:
        self._method = method

    def __get__(self, cell: Cell | None, owner: type) -> Any:
        return self if cell is None else self._method(cell)


class TfCell(Cell):
    """Base of the cells of ``tf``. They can be called step by step, and list their variables."""

    __call__ = call_cell
    zero_state = zero_state
    variables = weights = _OverridableProperty(_variables)
    trainable_variables = trainable_weights = _OverridableProperty(_trainable_variables)


# Cells of rg can be called with TfTensors, too.
TfTensor._of_cells = {"__call__": call_cell, "zero_state": zero_state}
