"""Drivers: run a cell over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..support.api_guard import api
from ..support.errors import ShapeError, StructureError, Where, user_line
from .cell import Cell, check_cell
from .driver import Run
from .parameters import ScopeName, scope_name
from .tensor import Tensor, build, constant, take_slice


@api
def dynamic_rnn(
    cell: Cell,
    inputs: Tensor,
    sequence_length: Any = None,
    initial_state: Any = None,
    dtype: Any = None,
    time_major: bool = False,
    scope: str | None = None,
    mask: Any = None,
    zero_output_for_mask: bool = False,
    reverse: bool = False,
) -> tuple[Tensor, Any]:
    """Runs ``cell`` over the time axis of ``inputs``.

    inputs: [batch, time, features], or [time, batch, features] with ``time_major``.
    sequence_length: int [batch], each in 0..time; past it the output is 0 and the state is held.
    initial_state: a nest like ``cell.state_size`` of Tensors [batch, width]; default zeros, or the cell's own.
    dtype: accepted as in TensorFlow; it must be that of ``inputs``.
    scope: replaces ``rnn`` in parameter names.
    mask: bool [batch, time], or [time, batch] with ``time_major``. At a step where it is False the row's state is held,
        the input is not read, and the output is that of the last step where it was True, 0 before the first such one.
    zero_output_for_mask: the output is 0 where the mask is False.
    reverse: from the last step of each row to its first. Outputs stay beside the inputs that they belong to; Keras'
        ``go_backwards`` gives them in the order of computation, which is ``outputs[:, ::-1]``.

    Returns (outputs, final state), outputs laid out as the inputs are.
    """
    where = user_line()
    name = scope_name(scope, "rnn", where)
    run = Run(inputs, sequence_length, mask, zero_output_for_mask, dtype, time_major, name, where)
    return run.over(cell, initial_state, reverse=reverse)


@api
def bidirectional_dynamic_rnn(
    cell_fw: Cell,
    cell_bw: Cell,
    inputs: Tensor,
    sequence_length: Any = None,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    time_major: bool = False,
    scope: str | None = None,
    mask: Any = None,
    zero_output_for_mask: bool = False,
) -> tuple[tuple[Tensor, Tensor], tuple[Any, Any]]:
    """Two independent cells over ``inputs``, one forward and one backward within each row's length.

    cell_fw, cell_bw: the cells, forward and backward.
    initial_state_fw, initial_state_bw: the states that they begin with; None: zeros.
    inputs, sequence_length, dtype, time_major, mask, zero_output_for_mask: as for ``dynamic_rnn``.
    scope: replaces ``bidirectional_rnn``, under which ``fw`` and ``bw`` are.

    Returns ((outputs_fw, outputs_bw), (state_fw, state_bw)); nothing is concatenated.
    """
    where = user_line()
    name = scope_name(scope, "bidirectional_rnn", where)
    run = Run(inputs, sequence_length, mask, zero_output_for_mask, dtype, time_major, name, where)
    outputs_fw, state_fw = run.over(cell_fw, initial_state_fw, "fw")
    outputs_bw, state_bw = run.over(cell_bw, initial_state_bw, "bw", reverse=True)
    return (outputs_fw, outputs_bw), (state_fw, state_bw)


@api
def stack_bidirectional_dynamic_rnn(
    cells_fw: Sequence[Cell],
    cells_bw: Sequence[Cell],
    inputs: Tensor,
    initial_states_fw: Sequence[Any] | None = None,
    initial_states_bw: Sequence[Any] | None = None,
    dtype: Any = None,
    sequence_length: Any = None,
    time_major: bool = False,
    scope: str | None = None,
    mask: Any = None,
    zero_output_for_mask: bool = False,
) -> tuple[Tensor, tuple[Any, ...], tuple[Any, ...]]:
    """Layers of ``bidirectional_dynamic_rnn``: each reads both outputs of the one below, side by side.

    cells_fw, cells_bw: one cell a layer.
    initial_states_fw, initial_states_bw: one state a layer.
    inputs, sequence_length, dtype, time_major, mask, zero_output_for_mask: as for ``dynamic_rnn``.
    scope: replaces ``stack_bidirectional_rnn``, under which ``cell_0/bidirectional_rnn/fw`` … are.

    Returns (outputs [batch, time, both widths] of the last layer, states_fw, states_bw), the states one a layer.
    """
    where = user_line()
    name = scope_name(scope, "stack_bidirectional_rnn", where)
    stacks = _cells(cells_fw, "cells_fw", where), _cells(cells_bw, "cells_bw", where)
    layers = len(stacks[0])
    if len(stacks[1]) != layers:
        raise StructureError(f"{layers} cells forward and {len(stacks[1])} backward; give one of each a layer", where)
    given = [_layer_states(states, layers, where) for states in (initial_states_fw, initial_states_bw)]
    states: tuple[list[Any], list[Any]] = ([], [])
    for layer in range(layers):
        outputs, run = [], Run(inputs, sequence_length, mask, zero_output_for_mask, dtype, time_major, name, where)
        for direction, suffix in enumerate(("fw", "bw")):
            cell, initial = stacks[direction][layer], given[direction][layer]
            output, state = run.over(cell, initial, f"cell_{layer}/bidirectional_rnn/{suffix}", direction == 1)
            outputs.append(output)
            states[direction].append(state)
        inputs = build("concat", *outputs, axis=2, where=where)
    return inputs, tuple(states[0]), tuple(states[1])


def _cells(cells: Any, what: str, where: Where | None) -> list[Cell]:
    if isinstance(cells, Cell) or not isinstance(cells, list | tuple) or not cells:
        raise StructureError(f"{what} must be a list of cells, one a layer, not {cells!r}", where)
    return [check_cell(cell, what) for cell in cells]


def _layer_states(states: Any, layers: int, where: Where | None) -> Sequence[Any]:
    if states is None:
        return [None] * layers
    if not isinstance(states, list | tuple) or len(states) != layers:
        raise StructureError(f"initial states of {layers} layers must be a list of {layers}, not {states!r}", where)
    return states


@api
def static_rnn(
    cell: Cell,
    inputs: Sequence[Tensor],
    initial_state: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    scope: str | None = None,
    mask: Any = None,
    zero_output_for_mask: bool = False,
    reverse: bool = False,
) -> tuple[list[Tensor], Any]:
    """``dynamic_rnn`` over a list: inputs is one Tensor [batch, features] a step, and so are the outputs.

    mask: bool [batch, time], or a list of one Tensor [batch] a step.
    cell, initial_state, dtype, sequence_length, scope, zero_output_for_mask, reverse: as for ``dynamic_rnn``.

    The loop is the same one; ``unroll="full"`` of ``rg.compile`` writes its steps out. Returns (list of outputs, final
    state).
    """
    where = user_line()
    name = scope_name(scope, "rnn", where)
    steps = list(inputs) if isinstance(inputs, list | tuple) else []
    if not steps:
        raise StructureError(
            f"static_rnn needs a list of inputs, one a step, not {inputs!r}; use rg.dynamic_rnn for one Tensor", where
        )
    for item in steps:
        if not isinstance(item, Tensor) or item.rank != 2:
            raise ShapeError(f"static_rnn needs inputs [batch, features], not {item!r}", where)
    sequence = _joined(steps, where)
    run = Run(
        sequence, sequence_length, _mask_over(mask, len(steps), where), zero_output_for_mask, dtype, True, name, where
    )
    outputs, state = run.over(cell, initial_state, reverse=reverse)
    return [take_slice(outputs, (step,)) for step in range(len(steps))], state


def run_steps(cell: Cell, steps: Tensor, scope: ScopeName, reverse: bool, where: Where | None) -> tuple[Tensor, Any]:
    """A cell over [time, batch, features]: what functions along time are made of."""
    return Run(steps, None, None, False, None, True, scope, where).over(cell, None, reverse=reverse)


def _joined(steps: Sequence[Tensor], where: Where | None) -> Tensor:
    """Tensors of one step each along a new first axis."""
    rows = [build("reshape", item, shape=(1, *item.type.shape), where=where) for item in steps]
    return rows[0] if len(rows) == 1 else build("concat", *rows, axis=0, where=where)


def _mask_over(mask: Any, steps: int, where: Where | None) -> Any:
    """The mask of ``static_rnn`` as [time, batch]."""
    if not isinstance(mask, list | tuple):
        is_matrix = isinstance(mask, Tensor) and mask.rank == 2
        return build("transpose", mask, order=(1, 0), where=where) if is_matrix else mask
    items = [item if isinstance(item, Tensor) else constant(item) for item in mask]
    if len(items) != steps or any(item.dtype != "bool" or item.rank != 1 for item in items):
        raise StructureError(f"mask must be a list of {steps} bool Tensors [batch], one a step, not {mask!r}", where)
    return _joined(items, where)
