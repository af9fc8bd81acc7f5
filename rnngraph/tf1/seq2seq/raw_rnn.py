"""``tf.nn.raw_rnn``: a cell whose inputs, states and outputs a function of the program's own makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...declare.cell import check_cell
from ...declare.nest import flatten, pack
from ...declare.tensor import Tensor
from ...support.api_guard import taking
from ...support.errors import StructureError, shown
from ..core.operations import behind
from ..core.scopes import variable_scope
from ..flow.tensor_array import TensorArray
from ..ops.functions import constant, logical_or, zeros
from .stepping import Stepping, held, selected, zeros_like

_WHAT = "tf.nn.raw_rnn"


@behind
def raw_rnn(
    cell: Any, loop_fn: Callable[..., Any], parallel_iterations: int | None = None, swap_memory: bool = False,
    scope: Any = None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """(a TensorArray of what steps gave, or a nest of them, final state, final loop state).

    loop_fn: a function of (time, cell_output, cell_state, loop_state) that gives (finished [batch], next input, next
    state, what the step gives, next loop state). At time 0 the last three of what it takes are None; there it gives the
    initial state, and zeros like what each step gives, or None where that is the cell's output. There are as many steps
    as a TensorArray has entries that it reads at ``time``, or as a constant that it compares ``time`` with.
    """
    check_cell(cell, _WHAT)
    loop_fn = taking(loop_fn, "loop_fn", "time", "cell_output", "cell_state", "loop_state")
    with variable_scope(scope or "rnn"):
        finished, inputs, state, structure, loop_state = _five(loop_fn(constant(0), None, None, None))
        blank = _blank(cell, inputs, structure)
        carried = [inputs, state, constant(0) if loop_state is None else loop_state]

        def body(time: Tensor, done: Tensor, nest: Any) -> Any:
            given, before, kept = nest
            output, new = cell(given, before)
            found = _five(loop_fn(time + 1, output, new, None if loop_state is None else kept))
            then, following, after, emitted, then_kept = found
            if len(flatten(emitted)) != len(blank):
                raise StructureError(
                    f"{_WHAT}: loop_fn gives {len(flatten(emitted))} Tensors a step, and {len(blank)} at time 0"
                )
            emits = [selected(done, a, b) for a, b in zip(blank, flatten(emitted), strict=True)]
            return (
                [following, held(done, before, after), kept if then_kept is None else then_kept],
                logical_or(done, then),
                emits,
            )

        (_, state, kept), emits = Stepping(_WHAT, carried, finished).run(body)
    arrays = [TensorArray.of(item) for item in emits]
    found = arrays[0] if structure is None else pack(structure, arrays)
    return found, state, None if loop_state is None else kept


def _five(given: Any) -> tuple[Any, Any, Any, Any, Any]:
    if not isinstance(given, tuple | list) or len(given) != 5:
        raise StructureError(
            f"{_WHAT}: loop_fn gives (finished, next input, next state, what the step gives, next loop state), not "
            f"{shown(given)}"
        )
    finished, inputs, state, emitted, kept = given
    return finished, inputs, state, emitted, kept


def _blank(cell: Any, inputs: Any, structure: Any) -> list[Tensor]:
    """What finished rows give."""
    first = flatten(inputs)[0]
    rows = first.type.shape[0]
    if structure is None:
        return [zeros([rows, cell.output_size], first.dtype)]
    found = flatten(zeros_like(structure))
    return [item if item.rank and item.type.shape[0] == rows else zeros([rows, *item.type.shape], item.dtype)
            for item in found]  # fmt: skip
