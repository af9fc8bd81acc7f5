"""Public drivers, which run a cell over time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ...ir.types import unify_declared
from ...support.api_guard import api
from ...support.errors import DtypeError, ShapeError, StructureError, Where, user_line
from ..cell import Cell, check_cell
from ..nest import flatten, map_leaves, matched, pack
from ..parameters import ScopeName, scope_name
from ..tensor import Tensor, build, constant, take_slice
from .run import Run


@api
def dynamic_rnn(
    cell: Cell,
    inputs: Any,
    sequence_length: Any = None,
    initial_state: Any = None,
    dtype: Any = None,
    time_major: bool = False,
    scope: str | None = None,
    mask: Any = None,
    zero_output_for_mask: bool = False,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Run ``cell`` over the time axis of ``inputs``.

    Args:
        cell: Cell to run.
        inputs: float [batch, time, features], or [time, batch, features] with ``time_major``. For cells with other
            inputs, a Tensor [batch, time, …] of any rank, or a tuple or dict of such Tensors, ints among them.
        sequence_length: int [batch], each in 0..time. Beyond a row's length, the output is 0 and the state is
            unchanged.
        initial_state: Nest like ``cell.state_size`` of Tensors [batch, width]. A leaf [width] or [1, width] applies to
            all rows, and None stands for zeros. Default: the cell's own initial state, or zeros.
        dtype: Dtype of parameters and states. It must equal the dtype of the first float input, and is needed only if
            there are several inputs, all of them ints.
        time_major: True if the first axis of ``inputs`` is time.
        scope: Replaces ``rnn`` in parameter names.
        mask: bool [batch, time], or [time, batch] with ``time_major``. A step where the mask is False is skipped: the
            row's state is unchanged, and the output repeats the output of the last unmasked step. Before the first
            unmasked step, the output is 0.
        zero_output_for_mask: Set the output to 0 where the mask is False.
        reverse: Run from the last step of each row to the first. Outputs stay aligned with their inputs. Keras'
            ``go_backwards`` returns them in the order of computation, which is ``outputs[:, ::-1]``.

    Returns:
        (outputs, final state). Outputs have the layout of the inputs, and the structure of the cell's output.
    """
    where = user_line()
    name = scope_name(scope, "rnn", where)
    run = Run(inputs, sequence_length, mask, zero_output_for_mask, dtype, time_major, name, where)
    return run.over(cell, initial_state, reverse=reverse)


@api
def bidirectional_dynamic_rnn(
    cell_fw: Cell,
    cell_bw: Cell,
    inputs: Any,
    sequence_length: Any = None,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    time_major: bool = False,
    scope: str | None = None,
    mask: Any = None,
    zero_output_for_mask: bool = False,
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Run two independent cells over ``inputs``, one forward and one backward within each row's length.

    Args:
        cell_fw: Forward cell.
        cell_bw: Backward cell.
        inputs: As for ``dynamic_rnn``.
        sequence_length: As for ``dynamic_rnn``.
        initial_state_fw: Initial state of the forward cell. Default: the cell's own, or zeros.
        initial_state_bw: Initial state of the backward cell. Default: the cell's own, or zeros.
        dtype: As for ``dynamic_rnn``.
        time_major: As for ``dynamic_rnn``.
        scope: Replaces ``bidirectional_rnn`` in parameter names. The cells have the scopes ``fw`` and ``bw`` below.
        mask: As for ``dynamic_rnn``.
        zero_output_for_mask: As for ``dynamic_rnn``.

    Returns:
        ((outputs_fw, outputs_bw), (state_fw, state_bw)). The outputs are not concatenated.
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
    inputs: Any,
    initial_states_fw: Sequence[Any] | None = None,
    initial_states_bw: Sequence[Any] | None = None,
    dtype: Any = None,
    sequence_length: Any = None,
    time_major: bool = False,
    scope: str | None = None,
    mask: Any = None,
    zero_output_for_mask: bool = False,
) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """Stack layers of ``bidirectional_dynamic_rnn``. Each layer reads the concatenated outputs of the layer below.

    Args:
        cells_fw: Forward cells, one for each layer.
        cells_bw: Backward cells, one for each layer.
        inputs: As for ``dynamic_rnn``.
        initial_states_fw: Initial states of the forward cells, one for each layer.
        initial_states_bw: Initial states of the backward cells, one for each layer.
        dtype: As for ``dynamic_rnn``.
        sequence_length: As for ``dynamic_rnn``.
        time_major: As for ``dynamic_rnn``.
        scope: Replaces ``stack_bidirectional_rnn`` in parameter names, which continue with
            ``cell_0/bidirectional_rnn/fw``.
        mask: As for ``dynamic_rnn``.
        zero_output_for_mask: As for ``dynamic_rnn``.

    Returns:
        (outputs, states_fw, states_bw). Outputs are the concatenated outputs [batch, time, width_fw + width_bw] of the
        last layer. States are the final states of each direction, one for each layer.
    """
    where = user_line()
    name = scope_name(scope, "stack_bidirectional_rnn", where)
    stacks = _cells(cells_fw, "cells_fw", where), _cells(cells_bw, "cells_bw", where)
    layers = len(stacks[0])
    if len(stacks[1]) != layers:
        raise StructureError(
            f"got {layers} forward cells and {len(stacks[1])} backward cells; give one of each per layer", where
        )
    initial_states = [_layer_states(states, layers, where) for states in (initial_states_fw, initial_states_bw)]
    states: tuple[list[Any], list[Any]] = ([], [])
    for layer in range(layers):
        outputs, run = [], Run(inputs, sequence_length, mask, zero_output_for_mask, dtype, time_major, name, where)
        for direction, suffix in enumerate(("fw", "bw")):
            cell, initial = stacks[direction][layer], initial_states[direction][layer]
            output, state = run.over(cell, initial, f"cell_{layer}/bidirectional_rnn/{suffix}", direction == 1)
            outputs.append(output)
            states[direction].append(state)
        inputs = _concatenate_outputs(outputs, where)
    return inputs, tuple(states[0]), tuple(states[1])


def _concatenate_outputs(outputs: Sequence[Any], where: Where | None) -> Any:
    """Concatenate the outputs of both directions along their last axis, leaf by leaf."""
    first, other = outputs
    if not isinstance(other, Tensor):
        other = pack(first, matched(first, other, "the output of a cell backward", where))
    pairs = [*zip(flatten(first), flatten(other), strict=True)]
    return pack(first, [build("concat", *pair, axis=pair[0].rank - 1, where=where) for pair in pairs])


def _cells(cells: Any, what: str, where: Where | None) -> list[Cell]:
    if isinstance(cells, Cell) or not isinstance(cells, list | tuple) or not cells:
        raise StructureError(f"{what} must be a list of cells, one per layer, not {cells!r}", where)
    return [check_cell(cell, what) for cell in cells]


def _layer_states(states: Any, layers: int, where: Where | None) -> Sequence[Any]:
    """Return one initial state for each layer, after a check of their number; None for all if ``states`` is None."""
    if states is None:
        return [None] * layers
    if not isinstance(states, list | tuple) or len(states) != layers:
        raise StructureError(f"initial states of {layers} layers must be a list of {layers}, not {states!r}", where)
    return states


@api
def static_rnn(
    cell: Cell,
    inputs: Sequence[Any],
    initial_state: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    scope: str | None = None,
    mask: Any = None,
    zero_output_for_mask: bool = False,
    reverse: bool = False,
) -> tuple[list[Any], Any]:
    """Run ``dynamic_rnn`` over a list with one Tensor for each step, or one tuple or dict of Tensors.

    The loop is compiled as for ``dynamic_rnn``; ``rg.compile(…, unroll="full")`` unrolls it.

    Args:
        cell: Cell to run.
        inputs: List of float Tensors [batch, features], one for each step. For cells with other inputs, a list of
            tuples or dicts of Tensors [batch, …], all of one structure.
        initial_state: As for ``dynamic_rnn``.
        dtype: As for ``dynamic_rnn``.
        sequence_length: As for ``dynamic_rnn``.
        scope: As for ``dynamic_rnn``.
        mask: bool [batch, time], or a list of bool Tensors [batch], one for each step.
        zero_output_for_mask: As for ``dynamic_rnn``.
        reverse: As for ``dynamic_rnn``.

    Returns:
        (list of outputs, final state). Each output has the structure of the cell's output.
    """
    where = user_line()
    name = scope_name(scope, "rnn", where)
    steps = list(inputs) if isinstance(inputs, list | tuple) else []
    if not steps:
        raise StructureError(
            f"static_rnn needs a list of inputs, one per step, not {inputs!r}; use rg.dynamic_rnn for one Tensor", where
        )
    sequence = _sequence_of(steps, where)
    run = Run(
        sequence, sequence_length, _mask_over(mask, len(steps), where), zero_output_for_mask, dtype, True, name, where
    )
    outputs, state = run.over(cell, initial_state, reverse=reverse)
    return [map_leaves(partial(take_slice, index=(step,)), outputs) for step in range(len(steps))], state


def _sequence_of(steps: Sequence[Any], where: Where | None) -> Any:
    """Stack the inputs of single steps along a new first axis, leaf by leaf."""
    first = steps[0]
    if isinstance(first, Tensor):
        for number, item in enumerate(steps):
            _check_like(item, first, number, where)
        return _stack_steps(steps, where)
    leaves = [matched(first, item, f"input {number} of static_rnn", where) for number, item in enumerate(steps)]
    for number, step in enumerate(leaves):
        for leaf, like in zip(step, leaves[0], strict=True):
            _check_like(leaf, like, number, where)
    return pack(first, [_stack_steps(list(items), where) for items in zip(*leaves, strict=True)])


def run_steps(
    cell: Cell, steps: Any, scope: ScopeName, reverse: bool, where: Where | None, time_major: bool = True
) -> tuple[Tensor, Any]:
    """Run a cell over ``steps``, and return (outputs, final state). Functions that are recurrences call it.

    ``steps`` are [time, batch, …], or [batch, time, …] with ``time_major=False``. The outputs have the same layout.
    """
    return Run(steps, None, None, False, None, time_major, scope, where).over(cell, None, reverse=reverse)


def _stack_steps(steps: Sequence[Tensor], where: Where | None) -> Tensor:
    """Stack the Tensors of single steps along a new first axis."""
    rows = [build("reshape", item, shape=(1, *item.type.shape), where=where) for item in steps]
    return rows[0] if len(rows) == 1 else build("concat", *rows, axis=0, where=where)


def _mask_over(mask: Any, steps: int, where: Where | None) -> Any:
    """Convert the argument ``mask`` of ``static_rnn`` to one Tensor [time, batch]. None stays None."""
    if not isinstance(mask, list | tuple):
        is_matrix = isinstance(mask, Tensor) and mask.rank == 2
        return build("transpose", mask, order=(1, 0), where=where) if is_matrix else mask
    items = [item if isinstance(item, Tensor) else constant(item) for item in mask]
    if len(items) != steps or any(item.dtype != "bool" or item.rank != 1 for item in items):
        raise StructureError(f"mask must be a list of {steps} bool Tensors [batch], one per step, not {mask!r}", where)
    return _stack_steps(items, where)


def _check_like(leaf: Any, like: Any, number: int, where: Where | None) -> None:
    """Raise an error if ``leaf``, the input of step ``number``, differs in type from ``like``, that of step 0."""
    if not isinstance(leaf, Tensor) or leaf.rank < 1 or leaf.rank != like.rank:
        raise ShapeError(f"static_rnn needs Tensors [batch, …], all of one rank, as its inputs, not {leaf!r}", where)
    try:
        [unify_declared(mine, its) for mine, its in zip(leaf.type.shape, like.type.shape, strict=True)]
    except ValueError:
        raise ShapeError(
            f"input {number} of static_rnn is {leaf!r}, and input 0 {like!r}; give all steps one shape", where
        ) from None
    if leaf.dtype != like.dtype:
        raise DtypeError(
            f"input {number} of static_rnn is {leaf.dtype}, and input 0 is {like.dtype}; convert one with rg.cast",
            where,
        )
