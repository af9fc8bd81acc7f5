"""The cells with TensorFlow 1.15's arguments, under their own names: ``tf.nn.rnn_cell`` and ``tf.contrib.rnn``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....declare.cell import Cell, NestedStep, Scope
from ....declare.cells import basic as cells
from ....declare.cells import wrappers
from ....declare.cells.basic import Activation
from ....declare.functions.randomness import KeepProb
from ....declare.nest import flatten, pack
from ....declare.state import public, resolve, stated
from ....declare.tensor import Tensor
from ....declare.trace import States
from ....support.api_guard import taking
from ....support.errors import ArgumentError, DtypeError
from ...cells.calls import TfCell, within_step
from ...cells.variables import checked_reuse, reusing
from ...core.graph import get_default_graph
from ...core.names import dtype_name, refuse
from ...core.scopes import present_scope
from ...core.tensors import as_tensorflow
from ...core.variables import array_initializer


class _Initialized(Scope):
    """A scope whose kernels and biases start as the user of the cell said."""

    def __init__(self, scope: Scope, kernel: Any, bias: Any) -> None:
        self.__dict__.update(scope.__dict__)
        self._kernel, self._bias = kernel, bias

    def kernel(self, name: str, shape: Any, initializer: Any = "glorot_uniform") -> Tensor:
        return super().kernel(name, shape, self._kernel or initializer)

    def bias(self, name: str, shape: Any, initializer: Any = "zeros") -> Tensor:
        return super().bias(name, shape, self._bias or initializer)


class TensorFlowCell(TfCell):
    """What TensorFlow's cells take beside ours: ``reuse``, ``name``, ``dtype`` and initializers.

    A subclass of a program's own may give ``call(inputs, state)``, which may call this one's.
    """

    _dtype: str | None = None
    _initializers: tuple[Any, Any] = (None, None)
    _reuse: Any = None

    def take(self, reuse: Any, name: str | None, dtype: Any, kernel: Any = None, bias: Any = None) -> None:
        self._reuse = checked_reuse(self, reuse)
        if name is not None and (not isinstance(name, str) or not name):
            raise ArgumentError(f"{self!r}: name must be a string, not {name!r}")
        self.scope_name = name
        self._dtype = None if dtype is None else dtype_name(dtype)
        self._initializers = _start(kernel), _start(bias)

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        if self._dtype not in (None, x.dtype):
            raise DtypeError(f"{self!r} has dtype={self._dtype} and gets {x.dtype}; leave its dtype out", self.where)
        if type(self).call is TensorFlowCell.call:
            return self._core(p, x, state)
        with within_step(p, p._path):
            output, new = self.call(*as_tensorflow((x, pack(public(self), flatten(state)))))
        return output, new

    def call(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step, of which that of a subclass is made."""
        steps = get_default_graph().steps
        if not steps:
            raise ArgumentError(f"{self!r}.call belongs to a step; call the cell itself: cell(inputs, state)")
        output, new = self._core(steps[-1], inputs, States(pack(resolve(stated(self)), flatten(state))))
        return output, pack(public(self), flatten(new))

    def _core(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        kernel, bias = self._initializers
        with reusing(p, self._reuse):
            return super().step(_Initialized(p, kernel or _start(present_scope().initializer), bias), x, state)


def _start(given: Any) -> Any:
    """An initializer of a program's, or None."""
    return None if given is None else array_initializer(given)


def tanh_for_none(activation: Activation) -> Activation:
    """In a cell of TensorFlow's None is tanh."""
    return "tanh" if activation is None else activation


def refuse_shards(cell: Cell, num_unit_shards: int | None, num_proj_shards: int | None) -> None:
    """Shards other than one."""
    refuse(
        cell,
        "a parameter is one array; leave it out",
        num_unit_shards=None if num_unit_shards == 1 else num_unit_shards,
        num_proj_shards=None if num_proj_shards == 1 else num_proj_shards,
    )


class BasicRNNCell(TensorFlowCell, cells.BasicRNNCell):
    """``rg.BasicRNNCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        activation: Activation = None,
        reuse: bool | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        cells.BasicRNNCell.__init__(self, num_units, tanh_for_none(activation))
        self.take(reuse, name, dtype)


class BasicLSTMCell(TensorFlowCell, cells.BasicLSTMCell):
    """``rg.BasicLSTMCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Activation = None,
        reuse: bool | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        cells.BasicLSTMCell.__init__(self, num_units, forget_bias, state_is_tuple, tanh_for_none(activation))
        self.take(reuse, name, dtype)


class LSTMCell(TensorFlowCell, cells.LSTMCell):
    """``rg.LSTMCell`` with TensorFlow's arguments. ``initializer``: of kernels, peepholes and projection."""

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        cell_clip: float | None = None,
        initializer: Any = None,
        num_proj: int | None = None,
        proj_clip: float | None = None,
        num_unit_shards: int | None = None,
        num_proj_shards: int | None = None,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Activation = None,
        reuse: bool | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        cells.LSTMCell.__init__(
            self,
            num_units,
            use_peepholes,
            cell_clip,
            num_proj,
            None if num_proj is None else proj_clip,
            forget_bias,
            state_is_tuple,
            tanh_for_none(activation),
        )
        refuse_shards(self, num_unit_shards, num_proj_shards)
        self.take(reuse, name, dtype, initializer)


class GRUCell(TensorFlowCell, cells.GRUCell):
    """``rg.GRUCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        activation: Activation = None,
        reuse: bool | None = None,
        kernel_initializer: Any = None,
        bias_initializer: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        cells.GRUCell.__init__(self, num_units, tanh_for_none(activation))
        self.take(reuse, name, dtype, kernel_initializer, bias_initializer)


class MultiRNNCell(TfCell, wrappers.MultiRNNCell):
    """``rg.MultiRNNCell``, called step by step too."""


class HighwayWrapper(TfCell, wrappers.HighwayWrapper):
    """``rg.HighwayWrapper``, called step by step too."""


class DropoutWrapper(TfCell, wrappers.DropoutWrapper):
    """``rg.DropoutWrapper`` with TensorFlow's arguments. ``input_size`` and ``dtype`` are found without being given."""

    def __init__(
        self,
        cell: Cell,
        input_keep_prob: KeepProb = 1.0,
        output_keep_prob: KeepProb = 1.0,
        state_keep_prob: KeepProb = 1.0,
        variational_recurrent: bool = False,
        input_size: Any = None,
        dtype: Any = None,
        seed: int | None = None,
        dropout_state_filter_visitor: Any = None,
    ) -> None:
        super().__init__(
            cell,
            input_keep_prob=input_keep_prob,
            output_keep_prob=output_keep_prob,
            state_keep_prob=state_keep_prob,
            variational_recurrent=variational_recurrent,
            seed=seed,
        )
        refuse(
            self,
            "mark what is not to be dropped with rg.memory in the cell's state()",
            dropout_state_filter_visitor=dropout_state_filter_visitor,
        )


class ResidualWrapper(TfCell, wrappers.ResidualWrapper):
    """``rg.ResidualWrapper`` with TensorFlow's arguments. ``residual_fn``: of (input, output), instead of their sum."""

    def __init__(self, cell: Cell, residual_fn: Callable[[Tensor, Tensor], Tensor] | None = None) -> None:
        super().__init__(cell)
        self.residual_fn = None if residual_fn is None else taking(residual_fn, "residual_fn", "input", "output")

    def nested_step(self, p: Scope, x: Tensor, state: Any) -> NestedStep:
        if self.residual_fn is None:
            return (yield from super().nested_step(p, x, state))
        output, state = yield p.cell(None, self.cell), x, state
        return self.residual_fn(x, output), state
