"""Wrappers that project the input or the output of a cell."""

from __future__ import annotations

from typing import Any

from ...support.arguments import units
from ...support.errors import DtypeError, shown
from ..cell import Cell, InnerCell, NestedInitialState, NestedStep, Scope, Wrapper
from ..functions.activations import activation_function
from ..tensor import Tensor
from ..trace import of_inner_cells
from .basic import Activation


class _Projection(Wrapper):
    """Base class of projection wrappers, with ``kernel`` and ``bias`` in a scope of their own."""

    adds_scope = True

    def __init__(self, cell: Cell, width: int, what: str, activation: Activation) -> None:
        super().__init__(cell)
        self.projected_width = units(width, what)
        self.activation = activation_function(activation)

    def inner(self, p: Scope) -> InnerCell:
        return p.cell("", self.cell)

    @of_inner_cells
    def nested_initial_state(self, p: Scope) -> NestedInitialState:
        return (yield self.inner(p))

    def projected(self, p: Scope, x: Any) -> Tensor:
        """Return activation(x @ kernel + bias) with parameters of ``p``. Raise ``DtypeError`` if x is no Tensor."""
        if not isinstance(x, Tensor):
            raise DtypeError(
                f"{type(self).__name__} around {self.cell!r} projects one Tensor, not {shown(x)}; project each one in "
                "a cell of your own",
                self.where,
            )
        kernel = p.kernel("kernel", (x.width, self.projected_width))
        return self.activation(x @ kernel + p.bias("bias", (self.projected_width,)))


class InputProjectionWrapper(_Projection):
    """Wrapper that projects the input x: the wrapped cell reads activation(x @ kernel + bias).

    Parameters: ``kernel`` [inputs, num_proj] and ``bias`` [num_proj] under ``input_projection_wrapper``, which is also
    the scope of the cell's parameters.

    Args:
        cell: Cell to wrap.
        num_proj: Width of the projection.
        activation: Name, function, or None for no activation.
    """

    def __init__(self, cell: Cell, num_proj: int, activation: Activation = None) -> None:
        super().__init__(cell, num_proj, "num_proj", activation)

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        return (yield self.inner(p), self.projected(p, x), state)


class OutputProjectionWrapper(_Projection):
    """Wrapper that projects the wrapped cell's output y: the output is activation(y @ kernel + bias).

    Parameters: ``kernel`` [cell's output, output_size] and ``bias`` [output_size] under ``output_projection_wrapper``,
    which is also the scope of the cell's parameters.

    Args:
        cell: Cell to wrap.
        output_size: Width of the output.
        activation: Name, function, or None for no activation.
    """

    def __init__(self, cell: Cell, output_size: int, activation: Activation = None) -> None:
        super().__init__(cell, output_size, "output_size", activation)

    @property
    def output_size(self) -> int:
        return self.projected_width

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        output, state = yield self.inner(p), x, state
        return self.projected(p, output), state
