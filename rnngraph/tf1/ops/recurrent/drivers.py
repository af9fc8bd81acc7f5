"""Drivers with TensorFlow 1.15's arguments and names: ``tf.nn.dynamic_rnn`` and others.

The arguments ``parallel_iterations`` and ``swap_memory`` have no effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....declare.cell import Cell
from ....declare.functions import basic as functions
from ....declare.nest import flatten
from ....declare.running import drivers
from ....declare.tensor import Tensor, holds_tensors
from ....ir.types import FLOATS
from ....support.errors import DtypeError, shown
from ...cells.subclassing import concatenated_inputs, first_state, to_cell_state
from ...cells.variables import bidirectional_scope, driver_scope
from ...core.dtypes import dtype_name
from ...core.graph import get_default_graph
from ...core.operations import runs_after_dependencies


@runs_after_dependencies
def dynamic_rnn(
    cell: Cell,
    inputs: Tensor,
    sequence_length: Any = None,
    initial_state: Any = None,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    time_major: bool = False,
    scope: Any = None,
) -> tuple[Tensor, Any]:
    """Run ``rg.dynamic_rnn`` with TensorFlow's arguments."""
    kind = None if dtype is None else dtype_name(dtype)
    inputs = concatenated_inputs(cell, inputs)
    start = first_state(cell, initial_state, inputs, kind, time_major, scope, "rnn")
    within: Any = driver_scope(cell, "rnn", scope)
    lengths = _int_lengths(sequence_length)
    outputs, state = _record_owner(drivers.dynamic_rnn(cell, inputs, lengths, start, kind, time_major, within))
    return outputs, to_cell_state(cell, state)


def _int_lengths(lengths: Any) -> Any:
    """Convert float lengths to int32, as TensorFlow does. Programs often compute lengths as sums of floats."""
    if isinstance(lengths, list | tuple) and not holds_tensors(lengths):
        lengths = np.asarray(lengths)
    kind = lengths.dtype if isinstance(lengths, Tensor | np.ndarray) else None
    return functions.cast(lengths, "int32") if str(kind) in FLOATS else lengths


@runs_after_dependencies
def bidirectional_dynamic_rnn(
    cell_fw: Cell,
    cell_bw: Cell,
    inputs: Tensor,
    sequence_length: Any = None,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    time_major: bool = False,
    scope: Any = None,
) -> tuple[tuple[Tensor, Tensor], tuple[Any, Any]]:
    """Run ``rg.bidirectional_dynamic_rnn`` with TensorFlow's arguments."""
    kind = None if dtype is None else dtype_name(dtype)
    within: Any
    within, forward, backward = bidirectional_scope(cell_fw, cell_bw, "bidirectional_rnn", scope)
    return _record_owner(
        drivers.bidirectional_dynamic_rnn(
            forward, backward, inputs, sequence_length, initial_state_fw, initial_state_bw, kind, time_major, within
        )
    )


@runs_after_dependencies
def stack_bidirectional_dynamic_rnn(
    cells_fw: Sequence[Cell],
    cells_bw: Sequence[Cell],
    inputs: Tensor,
    initial_states_fw: Any = None,
    initial_states_bw: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    parallel_iterations: int | None = None,
    time_major: bool = False,
    scope: Any = None,
    swap_memory: bool = False,
) -> tuple[Tensor, tuple[Any, ...], tuple[Any, ...]]:
    """Run ``rg.stack_bidirectional_dynamic_rnn`` with TensorFlow's arguments."""
    kind = None if dtype is None else dtype_name(dtype)
    return _record_owner(
        drivers.stack_bidirectional_dynamic_rnn(
            cells_fw,
            cells_bw,
            inputs,
            initial_states_fw,
            initial_states_bw,
            kind,
            sequence_length,
            time_major,
            driver_scope(None, "stack_bidirectional_rnn", scope),  # type: ignore[arg-type]  # converted by rg
        )
    )


@runs_after_dependencies
def static_rnn(
    cell: Cell,
    inputs: Sequence[Tensor],
    initial_state: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    scope: Any = None,
) -> tuple[list[Tensor], Any]:
    """Run ``rg.static_rnn`` with TensorFlow's arguments."""
    kind = None if dtype is None else dtype_name(dtype)
    within: Any = driver_scope(cell, "rnn", scope)
    return _record_owner(drivers.static_rnn(cell, inputs, initial_state, kind, _int_lengths(sequence_length), within))


@runs_after_dependencies
def static_bidirectional_rnn(
    cell_fw: Cell,
    cell_bw: Cell,
    inputs: Sequence[Tensor],
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    scope: Any = None,
) -> tuple[list[Tensor], Any, Any]:
    """Run ``bidirectional_dynamic_rnn`` over a list of steps. Return (concatenated outputs, state_fw, state_bw)."""
    if not isinstance(inputs, list | tuple) or not inputs:
        raise DtypeError(f"tf.nn.static_bidirectional_rnn needs a list of Tensors, one per step, not {shown(inputs)}")
    (forward, backward), (state_fw, state_bw) = bidirectional_dynamic_rnn(
        cell_fw,
        cell_bw,
        functions.stack(list(inputs)),
        sequence_length,
        initial_state_fw,
        initial_state_bw,
        dtype,
        time_major=True,
        scope=scope,
    )
    both = functions.concat([forward, backward], 2)
    return [both[step] for step in range(len(inputs))], state_fw, state_bw


def _record_owner(result: Any) -> Any:
    """Record a driver's outputs as owners of the variables of its cells, and return the driver's results."""
    outputs = result[0]
    get_default_graph().own(*(outputs if isinstance(outputs, tuple) else flatten(outputs)[:1]))
    return result
