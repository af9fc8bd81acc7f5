"""TensorFlow 1.x's placeholders and drivers, with its names and arguments.

The arguments ``parallel_iterations`` and ``swap_memory`` of drivers have no effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...declare.cell import Cell
from ...declare.functions import basic as functions
from ...declare.nest import flatten
from ...declare.placeholders import fed
from ...declare.running import drivers
from ...declare.tensor import Tensor, build, holds_tensors
from ...ir.graph import topological
from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import entries
from ...support.errors import DtypeError, NotOfferedError, ShapeError, shown
from ..cells.subclassing import as_written, first_state, joined_inputs
from ..cells.variables import bidirectional_scope, driver_scope
from ..core.dtypes import dtype_name, string
from ..core.graph import Computed, get_default_graph
from ..core.operations import runs_after_dependencies
from ..core.tensors import as_tensorflow
from ..table.missing import GUIDE
from .functions import constant


@api
def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """Return a Tensor that is fed in runs.

    Without a name it is ``Placeholder``, ``Placeholder_1``, … in order of declaration.

    Args:
        dtype: Dtype of the Tensor.
        shape: A list of ints and None. Without a shape the placeholder is a scalar, as in ``keep_prob =
            tf.placeholder(tf.float32)``.
        name: Name of the placeholder.
    """
    # A placeholder of tf.string is the handle of a feedable iterator, which is an int here.
    if dtype == string and isinstance(dtype, str):
        if shape not in (None, (), []):
            raise NotOfferedError(f"a placeholder of strings is not offered; feed ids, as tf.int32 ({GUIDE})")
        return _fed("Placeholder", "int64", (), name)
    return _fed("Placeholder", dtype_name(dtype), () if shape is None else shape, name)


@api
def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """Return a placeholder with the default value ``input``: a number, an array or a Tensor."""
    if isinstance(input, Tensor) and input.node.op != "constant":
        return _with_computed_default(input, shape, name)
    default: np.ndarray = (input if isinstance(input, Tensor) else constant(input)).node["value"]
    sizes = _sizes_with_default(default.shape, shape)
    return _fed("PlaceholderWithDefault", str(default.dtype), sizes, name, default=default)


def _sizes_with_default(have: Sequence[Any], shape: Any) -> Sequence[Any]:
    """Return the sizes of a placeholder with a default. Raise ``ShapeError`` if they differ from the default's.

    Args:
        have: Sizes of the default.
        shape: The program's argument. None: all sizes are symbolic.
    """
    sizes: Sequence[Any] = [None] * len(have) if shape is None else entries(_sizes(shape), "shape")
    fits = len(sizes) == len(have)
    if not fits or any(None not in (size, dim) and size != dim for size, dim in zip(sizes, have, strict=True)):
        raise ShapeError(f"a default of shape {tuple(have)} does not fit a placeholder of shape {tuple(sizes)}")
    return sizes


def _with_computed_default(default: Tensor, shape: Any, name: str | None) -> Tensor:
    """Return a Tensor that can be fed, and otherwise has the value and the gradient of ``default``.

    If ``shape`` has a symbolic size where the default's size is fixed, the result is a placeholder, for which a run
    first computes the default. Gradients do not pass through such a placeholder.
    """
    have = default.type.shape
    sizes = _sizes_with_default([dim if isinstance(dim, int) else None for dim in have], shape)
    if all(size == dim or not isinstance(dim, int) for size, dim in zip(sizes, have, strict=True)):
        target = tuple(dim if size is None else size for size, dim in zip(sizes, have, strict=True))
        result: Tensor = as_tensorflow(build("reshape" if target == have else "ensure_shape", default, shape=target))
        get_default_graph().name(name or "PlaceholderWithDefault", result)
        return result
    if any(node.op == "parameter" for node in topological([default.node])):
        raise ShapeError(
            f"a placeholder of shape {tuple(sizes)} has a default of shape {tuple(have)} that depends on variables; "
            "pass the default's shape as shape="
        )
    fed_placeholder = _fed("PlaceholderWithDefault", default.type.dtype, sizes, name)
    get_default_graph().derived[fed_placeholder.node] = Computed(default.node)
    return fed_placeholder


def _fed(base: str, dtype: str, shape: Any, name: str | None, **attributes: Any) -> Tensor:
    """Return a new placeholder with the name ``name``, by default ``base``."""
    if name is not None and (not isinstance(name, str) or not name):
        raise DtypeError(f"a placeholder's name must be a string, not {name!r}")
    placeholder: Tensor = as_tensorflow(
        fed(name or base, _sizes(shape), dtype, **({"unnamed": True} if name is None else {}), **attributes)
    )
    get_default_graph().place(placeholder, name)
    return placeholder


def _sizes(shape: Any) -> Any:
    """Return a shape with ints or None in place of ``tf.Dimension``s."""
    if isinstance(shape, int | np.integer):
        return [int(shape)]
    return [getattr(size, "value", size) for size in shape] if isinstance(shape, list | tuple) else shape


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
    inputs = joined_inputs(cell, inputs)
    start = first_state(cell, initial_state, inputs, kind, time_major, scope, "rnn")
    within: Any = driver_scope(cell, "rnn", scope)
    lengths = _whole_lengths(sequence_length)
    outputs, state = _recorded_as_owner(drivers.dynamic_rnn(cell, inputs, lengths, start, kind, time_major, within))
    return outputs, as_written(cell, state)


def _whole_lengths(lengths: Any) -> Any:
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
    return _recorded_as_owner(
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
    return _recorded_as_owner(
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
    return _recorded_as_owner(
        drivers.static_rnn(cell, inputs, initial_state, kind, _whole_lengths(sequence_length), within)
    )


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


def _recorded_as_owner(result: Any) -> Any:
    """Record a driver's outputs as owners of the variables of its cells, and return the driver's results."""
    outputs = result[0]
    get_default_graph().own(*(outputs if isinstance(outputs, tuple) else flatten(outputs)[:1]))
    return result
