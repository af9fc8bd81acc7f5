"""Cells with TensorFlow 1.15's arguments and names: ``tf.nn.rnn_cell`` and ``tf.contrib.rnn``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ....declare.cell import NestedStep, Scope
from ....declare.cells import basic as cells
from ....declare.cells import wrappers
from ....declare.nest import flatten, pack
from ....declare.state import public, resolve, stated
from ....declare.tensor import Tensor
from ....declare.trace import States
from ....support.api_guard import taking
from ....support.errors import ArgumentError, DtypeError
from ...cells.calls import TfCell, within_step
from ...cells.variables import checked_reuse, reusing
from ...core.dtypes import dtype_name, refuse
from ...core.graph import get_default_graph
from ...core.scopes import present_scope
from ...core.tensors import as_tensorflow
from ...core.variables import array_initializer
from .signatures import LAYER, SIGNATURES, constructor


class _ScopeWithInitializers(Scope):
    """Scope that replaces the default initializers of kernels and biases by the cell's."""

    def __init__(self, scope: Scope, kernel: Any, bias: Any) -> None:
        self.__dict__.update(scope.__dict__)
        self._kernel, self._bias = kernel, bias

    def kernel(self, name: str, shape: Any, initializer: Any = "glorot_uniform") -> Tensor:
        return super().kernel(name, shape, self._kernel or initializer)

    def bias(self, name: str, shape: Any, initializer: Any = "zeros") -> Tensor:
        return super().bias(name, shape, self._bias or initializer)


class CellWithSignature(TfCell):
    """Base of cells whose constructor's signature comes from the table in ``signatures``."""

    keywords: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        if cls.__name__ in SIGNATURES and cls.__module__.startswith(__package__):
            cls.__init__ = constructor(cls, cls.keywords)  # type: ignore[method-assign]  # the table replaces the constructor
        super().__init_subclass__(**options)

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        raise NotImplementedError  # __init_subclass__ replaces the constructor

    def adapt(self, arguments: dict[str, Any]) -> None:
        """Convert ``arguments``, {name: value} as in TensorFlow, in place to arguments of rnngraph's class."""

    def take(self, arguments: dict[str, Any]) -> None:
        """Store the arguments that rnngraph's class lacks."""


class TensorFlowCell(CellWithSignature):
    """Cell with the arguments ``reuse``, ``name``, ``dtype`` and initializers in addition to those of rnngraph's class.

    A program's subclass may override ``call(inputs, state)``, and call the inherited method.
    """

    keywords = LAYER
    _dtype: str | None = None
    _initializers: tuple[Any, Any] = (None, None)
    _reuse: Any = None

    def adapt(self, arguments: dict[str, Any]) -> None:
        if arguments.get("activation", "") is None:
            arguments["activation"] = "tanh"
        if arguments.get("num_proj", "") is None:
            arguments["proj_clip"] = None

    def take(self, arguments: dict[str, Any]) -> None:
        name, dtype = arguments.get("name"), arguments.get("dtype")
        shards = {part: arguments.get(part) for part in ("num_unit_shards", "num_proj_shards")}
        refuse(
            self,
            "leave it out, because a parameter is one array",
            **{part: None if number == 1 else number for part, number in shards.items()},
        )
        self._reuse = checked_reuse(self, arguments.get("reuse"))
        if name is not None and (not isinstance(name, str) or not name):
            raise ArgumentError(f"{self!r}: name must be a string, not {name!r}")
        self.scope_name = name
        self._dtype = None if dtype is None else dtype_name(dtype)
        kernel = arguments.get("initializer", arguments.get("kernel_initializer"))
        self._initializers = _initializer(kernel), _initializer(arguments.get("bias_initializer"))

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        if self._dtype not in (None, x.dtype):
            raise DtypeError(
                f"{self!r} has dtype={self._dtype} but its input is {x.dtype}; leave out dtype=", self.where
            )
        if type(self).call is TensorFlowCell.call:
            return self._builtin_step(p, x, state)
        with within_step(p, p._path):
            output, new = self.call(*as_tensorflow((x, pack(public(self), flatten(state)))))
        return output, new

    def call(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run one step: return (output, new state). A program's subclass may override this method."""
        steps = get_default_graph().steps
        if not steps:
            raise ArgumentError(f"{self!r}.call runs only within a step; call the cell itself: cell(inputs, state)")
        output, new = self._builtin_step(steps[-1], inputs, States(pack(resolve(stated(self)), flatten(state))))
        return output, pack(public(self), flatten(new))

    def _builtin_step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run the step of rnngraph's class, with the cell's ``reuse`` and initializers."""
        kernel, bias = self._initializers
        with reusing(p, self._reuse):
            return super().step(
                _ScopeWithInitializers(p, kernel or _initializer(present_scope().initializer), bias), x, state
            )


def _initializer(value: Any) -> Any:
    """Return a program's initializer as one for layers and cells of rnngraph; None for None."""
    return None if value is None else array_initializer(value)


class BasicRNNCell(TensorFlowCell, cells.BasicRNNCell):
    """``rg.BasicRNNCell`` with TensorFlow's arguments."""


class BasicLSTMCell(TensorFlowCell, cells.BasicLSTMCell):
    """``rg.BasicLSTMCell`` with TensorFlow's arguments."""


class LSTMCell(TensorFlowCell, cells.LSTMCell):
    """``rg.LSTMCell`` with TensorFlow's arguments. ``initializer`` initializes kernels, peepholes and projection."""


class GRUCell(TensorFlowCell, cells.GRUCell):
    """``rg.GRUCell`` with TensorFlow's arguments."""


class MultiRNNCell(CellWithSignature, wrappers.MultiRNNCell):
    """``rg.MultiRNNCell``, which can also be called step by step."""


class HighwayWrapper(CellWithSignature, wrappers.HighwayWrapper):
    """``rg.HighwayWrapper``, which can also be called step by step."""


class DropoutWrapper(CellWithSignature, wrappers.DropoutWrapper):
    """``rg.DropoutWrapper`` with TensorFlow's arguments. ``input_size`` and ``dtype`` have no effect."""

    def take(self, arguments: dict[str, Any]) -> None:
        name = "dropout_state_filter_visitor"
        refuse(self, "mark what is not to be dropped with rg.memory in the cell's state()", **{name: arguments[name]})


class ResidualWrapper(CellWithSignature, wrappers.ResidualWrapper):
    """``rg.ResidualWrapper`` with TensorFlow's arguments.

    ``residual_fn`` is a function of (input, output), by default the sum.
    """

    residual_fn: Callable[[Tensor, Tensor], Tensor] | None

    def take(self, arguments: dict[str, Any]) -> None:
        function = arguments["residual_fn"]
        self.residual_fn = None if function is None else taking(function, "residual_fn", "input", "output")

    def nested_step(self, p: Scope, x: Tensor, state: Any) -> NestedStep:
        if self.residual_fn is None:
            return (yield from super().nested_step(p, x, state))
        output, state = yield p.cell(None, self.cell), x, state
        return self.residual_fn(x, output), state
