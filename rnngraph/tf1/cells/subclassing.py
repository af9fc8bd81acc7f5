"""``RNNCell``: base of cells that programs write, with ``call(inputs, state)`` and with variables."""

from __future__ import annotations

import re
from typing import Any

from ...declare.cell import Cell, Scope
from ...declare.functions import basic as functions
from ...declare.nest import flatten, map_leaves, pack
from ...declare.tensor import Tensor, build
from ...ir.types import product
from ...support.api_guard import api
from ...support.errors import ArgumentError, ShapeError
from ..core.dtypes import dtype_name, refuse
from ..core.scopes import variable_scope
from ..core.shapes import TensorShape
from ..core.sizes import size_tensor
from ..core.tensors import as_tensorflow
from ..core.variables import get_variable
from .calls import TfCell, any_overrides_zero_state, to_driver_state, within_step


class _AnyCell(type):
    """Metaclass by which every cell is an instance of ``tf.nn.rnn_cell.RNNCell``."""

    def __instancecheck__(cls, item: Any) -> bool:
        return isinstance(item, Cell) if cls is RNNCell else type.__instancecheck__(cls, item)


class InputSpec:
    """``tf.layers.InputSpec``: the rank of inputs that a cell expects.

    The rank is the length of ``shape``, or ``ndim``, or lies between ``min_ndim`` and ``max_ndim``. ``dtype``, ``axes``
    and the sizes of ``shape`` have no effect.
    """

    @api
    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Any = None,
    ) -> None:
        self.dtype, self.shape, self.axes = dtype, shape, axes
        exact = ndim if shape is None else len(shape)
        self.ndim, self.min_ndim, self.max_ndim = exact, min_ndim, max_ndim

    def check(self, x: Tensor, cell: Any) -> None:
        """Raise ``ShapeError`` if x does not have the expected rank."""
        low, high = (self.min_ndim, self.max_ndim) if self.ndim is None else (self.ndim, self.ndim)
        if (low is not None and x.rank < low) or (high is not None and x.rank > high):
            rank = low if low == high else f"{low or 0} or more" if high is None else f"{low or 0} to {high}"
            raise ShapeError(f"{type(cell).__name__}.input_spec expects inputs of rank {rank}, not {x!r}; reshape them")


class RNNCell(TfCell, metaclass=_AnyCell):
    """``tf.nn.rnn_cell.RNNCell``, the base of cells that a program writes.

    A subclass defines ``state_size``, ``output_size`` and a step, which returns (output, new state). The step is the
    method ``call(inputs, state)``, or ``__call__(inputs, state, scope=None)``.

    Variables are created in the step with ``tf.get_variable``, or in ``build(inputs_shape)`` with ``add_variable``.
    If the class defines ``call``, their names begin with the cell's name. By default, this is the class's name in snake
    case. With ``trainable=False``, ``add_variable`` creates untrained variables.
    """

    built = False
    trainable = True
    _reuse: Any = None
    _name: str | None = None
    _dtype: str | None = None
    input_spec: Any = None
    _inputs: tuple[Any, list[int]] | None = None
    """(nested inputs of the driver, width of each leaf); None if the inputs are one Tensor."""
    _own_state: Any = None
    """Initial state that a driver got from the subclass's own ``zero_state``; None without such a method."""

    def __init__(
        self,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
        _reuse: Any = None,
        **options: Any,
    ) -> None:
        refuse("RNNCell", "add the penalty to the loss", activity_regularizer=options.get("activity_regularizer"))
        self.trainable, self._name, self._reuse = trainable, name, _reuse
        self._dtype = None if dtype is None else dtype_name(dtype)

    # For programs to override ------------------------------------------------------------------------

    @property
    def state_size(self) -> Any:
        """Width of the state: an int, a ``TensorShape``, or a nest of them."""
        raise ArgumentError(f"{type(self).__name__} has no state_size; define it as a property")

    @property
    def output_size(self) -> int:
        """Width of the output."""
        raise ArgumentError(f"{type(self).__name__} has no output_size; define it as a property")

    def build(self, inputs_shape: Any) -> None:
        """Create the cell's variables. Called once, before the first step."""
        self.built = True

    def call(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run one step. Return (output, new state)."""
        raise ArgumentError(f"{type(self).__name__} has no call; define a method call(inputs, state)")

    # For programs to call ----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the cell's scope."""
        return self._name or _snake_case(type(self).__name__)

    scope_name = name  # a property of this class, a plain attribute of others

    @property
    def dtype(self) -> str | None:
        """Dtype of the variables; None if it was not set."""
        return self._dtype

    def add_variable(
        self,
        name: str,
        shape: Any,
        dtype: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        trainable: bool = True,
        **options: Any,
    ) -> Tensor:
        """Return a variable as ``tf.get_variable`` does. Its dtype defaults to the cell's."""
        kind, constraint = self._dtype if dtype is None else dtype, options.get("constraint")
        is_trained = trainable and self.trainable
        return get_variable(name, shape, kind, initializer, regularizer, is_trained, constraint=constraint)

    add_weight = add_variable

    # For drivers -------------------------------------------------------------------------------------

    @property
    def adds_scope(self) -> bool:  # type: ignore[override]  # a plain attribute of other cells
        """True if the cell defines ``call``. A cell that defines ``__call__`` opens its scope itself."""
        return type(self).__call__ is TfCell.__call__

    def state(self) -> Any:
        size = _widths(self.state_size)
        return {"h": size} if isinstance(size, int) else size

    def step(self, p: Scope, x: Any, state: Any) -> tuple[Tensor, Any]:
        single = isinstance(state, dict) and not isinstance(_widths(self.state_size), dict)
        if self._inputs is not None:
            like, widths = self._inputs
            x = pack(like, functions.split(x, widths, 1))
        x, state = as_tensorflow((x, state))
        own_state = _to_structure_of(self.state_size, self._own_state, state["h"] if single else state)
        with within_step(p, p._path):
            if self.adds_scope:
                if isinstance(self.input_spec, InputSpec) and isinstance(x, Tensor):
                    self.input_spec.check(x, self)
                if not self.built:
                    self.build(map_leaves(lambda leaf: TensorShape(leaf.shape), x))
                    self.built = True
                output, new = self.call(x, own_state)
            else:
                output, new = self(x, own_state)
        if single:
            return output, {"h": to_driver_state(flatten(new)[0] if isinstance(new, tuple | list) else new)}
        return output, to_driver_state(new)


LayerRNNCell = RNNCell


def concatenated_inputs(cell: Any, inputs: Any) -> Any:
    """Concatenate nested inputs of an ``RNNCell`` subclass along the last axis. The step splits them again.

    A single Tensor, and inputs of other cells, are returned unchanged.
    """
    if not isinstance(inputs, tuple | list | dict) or RNNCell not in type(cell).__mro__:
        return inputs
    leaves = flatten(inputs)
    dtypes = {leaf.dtype for leaf in leaves}
    widths = [leaf.width for leaf in leaves if leaf.rank == 3 and isinstance(leaf.width, int)]
    if len(dtypes) > 1 or len(widths) < len(leaves):
        raise ShapeError(f"nested inputs must be Tensors [batch, time, width] of one dtype, not {inputs!r}")
    cell._inputs = (inputs, widths)
    return functions.concat(leaves, 2)


def first_state(cell: Any, state: Any, inputs: Any, dtype: Any, time_major: bool, scope: Any, default: str) -> Any:
    """Return a driver's initial state: ``state``, or the result of an overridden ``zero_state``, or None for zeros."""
    if state is not None or not isinstance(inputs, Tensor) or not any_overrides_zero_state(cell):
        return state if state is None else to_driver_state(state)
    batch = inputs.type.shape[1 if time_major else 0]
    with variable_scope(scope or default):
        rows = batch if isinstance(batch, int) else size_tensor(inputs, batch, "int32")
        initial = cell.zero_state(rows, inputs.dtype if dtype is None else dtype)
    if isinstance(cell, RNNCell) and hasattr(cell, "state_size"):
        cell._own_state = initial
    return to_driver_state(initial)


def to_cell_state(cell: Any, state: Any) -> Any:
    """Convert a driver's final state to the structure of an ``RNNCell`` subclass; return that of others unchanged."""
    own = type(cell).__mro__[0] is not RNNCell and RNNCell in type(cell).__mro__
    return _to_structure_of(cell.state_size, cell._own_state, state) if own else state


def _to_structure_of(size: Any, initial: Any, state: Any) -> Any:
    """Convert a state from the form of drivers to the structure of ``state_size``.

    Args:
        size: ``state_size`` of the cell.
        initial: Result of the cell's own ``zero_state``, whose Tensors have the ranks to restore; None without one.
        state: The state, or a part of it.
    """
    if isinstance(state, Tensor):
        if isinstance(initial, Tensor):
            sizes: Any = initial.type.shape[1:]
        else:
            sizes = TensorShape(getattr(size, "value", size)).as_list()
        return state if len(sizes) < 2 else build("reshape", state, shape=(state.type.shape[0], *sizes))
    if isinstance(state, dict):
        return {key: _to_structure_of(size[key], initial and initial[key], item) for key, item in state.items()}
    initials = [None] * len(state) if initial is None else initial
    items = [_to_structure_of(*parts) for parts in zip(size, initials, state, strict=True)]
    if hasattr(state, "_fields"):
        return type(state)(*items)
    return items if isinstance(size, list) else tuple(items)


def _widths(size: Any) -> Any:
    """Return ``state_size`` with an int at each leaf. A ``TensorShape`` becomes its number of elements."""
    if isinstance(size, TensorShape):
        return product([item for item in size.as_list() if item is not None])
    if isinstance(size, dict):
        return {key: _widths(item) for key, item in size.items()}
    if isinstance(size, tuple) and hasattr(size, "_fields"):
        return type(size)(*map(_widths, size))
    if isinstance(size, tuple | list):
        return tuple(map(_widths, size))
    return int(getattr(size, "value", size))


def _snake_case(name: str) -> str:
    """Return a class's name in snake case, as TensorFlow writes it in names of variables."""
    words = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
    return f"private{words}" if words.startswith("_") else words
