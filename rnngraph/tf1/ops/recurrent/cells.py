"""The cells with TensorFlow 1.15's arguments, under their own names: ``tf.nn.rnn_cell`` and ``tf.contrib.rnn``."""

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
from ...core.graph import get_default_graph
from ...core.names import dtype_name, refuse
from ...core.scopes import present_scope
from ...core.tensors import as_tensorflow
from ...core.variables import array_initializer
from .signatures import LAYER, SIGNATURES, constructor


class _Initialized(Scope):
    """A scope whose kernels and biases start as the user of the cell said."""

    def __init__(self, scope: Scope, kernel: Any, bias: Any) -> None:
        self.__dict__.update(scope.__dict__)
        self._kernel, self._bias = kernel, bias

    def kernel(self, name: str, shape: Any, initializer: Any = "glorot_uniform") -> Tensor:
        return super().kernel(name, shape, self._kernel or initializer)

    def bias(self, name: str, shape: Any, initializer: Any = "zeros") -> Tensor:
        return super().bias(name, shape, self._bias or initializer)


class SignedCell(TfCell):
    """Cell of TensorFlow's, whose constructor has the signature of the table."""

    keywords: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        if cls.__name__ in SIGNATURES and cls.__module__.startswith(__package__):
            cls.__init__ = constructor(cls, cls.keywords)  # type: ignore[method-assign]  # the very point
        super().__init_subclass__(**options)

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        raise NotImplementedError  # a subclass has that of the table

    def adapt(self, given: dict[str, Any]) -> None:
        """Change arguments into those of the class of ours."""

    def take(self, given: dict[str, Any]) -> None:
        """Take the arguments that the class of ours does not have."""


class TensorFlowCell(SignedCell):
    """Cell that takes ``reuse``, ``name``, ``dtype`` and initializers beside the arguments of ours.

    A subclass of a program's own may give ``call(inputs, state)``, which may call this one's.
    """

    keywords = LAYER
    _dtype: str | None = None
    _initializers: tuple[Any, Any] = (None, None)
    _reuse: Any = None

    def adapt(self, given: dict[str, Any]) -> None:
        if given.get("activation", "") is None:
            given["activation"] = "tanh"
        if given.get("num_proj", "") is None:
            given["proj_clip"] = None

    def take(self, given: dict[str, Any]) -> None:
        name, dtype = given.get("name"), given.get("dtype")
        shards = {part: given.get(part) for part in ("num_unit_shards", "num_proj_shards")}
        refuse(
            self,
            "a parameter is one array; leave it out",
            **{part: None if number == 1 else number for part, number in shards.items()},
        )
        self._reuse = checked_reuse(self, given.get("reuse"))
        if name is not None and (not isinstance(name, str) or not name):
            raise ArgumentError(f"{self!r}: name must be a string, not {name!r}")
        self.scope_name = name
        self._dtype = None if dtype is None else dtype_name(dtype)
        kernel = given.get("initializer", given.get("kernel_initializer"))
        self._initializers = _start(kernel), _start(given.get("bias_initializer"))

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


class BasicRNNCell(TensorFlowCell, cells.BasicRNNCell):
    """``rg.BasicRNNCell`` with TensorFlow's arguments."""


class BasicLSTMCell(TensorFlowCell, cells.BasicLSTMCell):
    """``rg.BasicLSTMCell`` with TensorFlow's arguments."""


class LSTMCell(TensorFlowCell, cells.LSTMCell):
    """``rg.LSTMCell`` with TensorFlow's arguments. ``initializer``: of kernels, peepholes and projection."""


class GRUCell(TensorFlowCell, cells.GRUCell):
    """``rg.GRUCell`` with TensorFlow's arguments."""


class MultiRNNCell(SignedCell, wrappers.MultiRNNCell):
    """``rg.MultiRNNCell``, called step by step too."""


class HighwayWrapper(SignedCell, wrappers.HighwayWrapper):
    """``rg.HighwayWrapper``, called step by step too."""


class DropoutWrapper(SignedCell, wrappers.DropoutWrapper):
    """``rg.DropoutWrapper`` with TensorFlow's arguments. ``input_size`` and ``dtype`` are found without being given."""

    def take(self, given: dict[str, Any]) -> None:
        name = "dropout_state_filter_visitor"
        refuse(self, "mark what is not to be dropped with rg.memory in the cell's state()", **{name: given[name]})


class ResidualWrapper(SignedCell, wrappers.ResidualWrapper):
    """``rg.ResidualWrapper`` with TensorFlow's arguments. ``residual_fn``: of (input, output), instead of their sum."""

    residual_fn: Callable[[Tensor, Tensor], Tensor] | None

    def take(self, given: dict[str, Any]) -> None:
        function = given["residual_fn"]
        self.residual_fn = None if function is None else taking(function, "residual_fn", "input", "output")

    def nested_step(self, p: Scope, x: Tensor, state: Any) -> NestedStep:
        if self.residual_fn is None:
            return (yield from super().nested_step(p, x, state))
        output, state = yield p.cell(None, self.cell), x, state
        return self.residual_fn(x, output), state
