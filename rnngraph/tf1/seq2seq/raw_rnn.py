"""``tf.nn.raw_rnn``, in which a function of the program computes a cell's inputs, states and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...declare.cell import check_cell
from ...declare.nest import flatten, pack
from ...declare.tensor import Tensor
from ...support.api_guard import taking
from ...support.errors import StructureError, shown
from ..core.operations import runs_after_dependencies
from ..core.scopes import variable_scope
from ..flow.tensor_array import TensorArray
from ..ops.functions import constant, logical_or, zeros
from .stepping import Stepping, selected, selected_nest, zeros_like

_WHAT = "tf.nn.raw_rnn"


@runs_after_dependencies
def raw_rnn(
    cell: Any,
    loop_fn: Callable[..., Any],
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    scope: Any = None,
) -> tuple[Any, Any, Any]:
    """Run a cell whose inputs, states and outputs ``loop_fn`` computes.

    The maximum number of steps is the number of entries of a TensorArray that ``loop_fn`` reads at ``time``, or the
    number with which ``loop_fn`` compares ``time`` to finish rows.

    Args:
        loop_fn: Function of (time, cell_output, cell_state, loop_state) that returns (finished [batch], next input,
            next state, output of the step, next loop state). At time 0 its last three arguments are None. Its result
            then has the initial state, and an output of zeros in the structure of a step's output. An output of None
            means that steps output the cell's output.
        parallel_iterations: No effect.
        swap_memory: No effect.

    Returns:
        (``TensorArray`` of the outputs of all steps, or a nest of arrays; final state; final loop state). Outputs of
        finished rows are 0.
    """
    check_cell(cell, _WHAT)
    loop_fn = taking(loop_fn, "loop_fn", "time", "cell_output", "cell_state", "loop_state")
    with variable_scope(scope or "rnn"):
        finished, inputs, state, structure, loop_state = _checked_result(loop_fn(constant(0), None, None, None))
        blank = _zero_outputs(cell, inputs, structure)
        carried = [inputs, state, constant(0) if loop_state is None else loop_state]

        def body(time: Tensor, done: Tensor, nest: Any) -> Any:
            inputs, before, state_of_loop = nest
            output, new = cell(inputs, before)
            result = loop_fn(time + 1, output, new, None if loop_state is None else state_of_loop)
            now_finished, following, after, emitted, next_loop_state = _checked_result(result)
            if len(flatten(emitted)) != len(blank):
                raise StructureError(
                    f"{_WHAT}: loop_fn returns {len(flatten(emitted))} output Tensors at a step, but {len(blank)} at "
                    "time 0; return the same structure"
                )
            emits = [selected(done, a, b) for a, b in zip(blank, flatten(emitted), strict=True)]
            return (
                [
                    following,
                    selected_nest(done, before, after),
                    state_of_loop if next_loop_state is None else next_loop_state,
                ],
                logical_or(done, now_finished),
                emits,
            )

        (_, state, final_loop_state), emits = Stepping(_WHAT, carried, finished).run(body)
    arrays = [TensorArray.of(item) for item in emits]
    outputs = arrays[0] if structure is None else pack(structure, arrays)
    return outputs, state, None if loop_state is None else final_loop_state


def _checked_result(result: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return a result of ``loop_fn`` as a tuple. Raise ``StructureError`` unless it has five entries."""
    if not isinstance(result, tuple | list) or len(result) != 5:
        raise StructureError(
            f"{_WHAT}: loop_fn must return (finished, next input, next state, output, next loop state), not "
            f"{shown(result)}"
        )
    finished, inputs, state, emitted, loop_state = result
    return finished, inputs, state, emitted, loop_state


def _zero_outputs(cell: Any, inputs: Any, structure: Any) -> list[Tensor]:
    """Return the leaves of an output of zeros, which finished rows have.

    Args:
        cell: The cell.
        inputs: First input of the cell, for the number of rows and the dtype.
        structure: Output of ``loop_fn`` at time 0, with or without rows. None: the cell's output.
    """
    first = flatten(inputs)[0]
    rows = first.type.shape[0]
    if structure is None:
        return [zeros([rows, cell.output_size], first.dtype)]
    blanks = flatten(zeros_like(structure))
    return [
        item if item.rank and item.type.shape[0] == rows else zeros([rows, *item.type.shape], item.dtype)
        for item in blanks
    ]
