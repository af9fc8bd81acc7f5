"""The built-in cells, in the same API as a user's own. Parameter names and gate orders are TensorFlow 1.15's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...support.api_guard import api
from ...support.arguments import flag, number, units
from ...support.attribute_hints import telling
from ...support.errors import ArgumentError, shown
from ..cell import Cell, Scope
from ..functions.activations import activation_function
from ..functions.basic import clip, concat, split
from ..state import joined, memory
from ..tensor import Tensor

MOST_WHOLE_BIAS = 5
"""The largest forget_bias that may be an int."""
Activation = str | Callable[[Any], Tensor] | None


@api
@telling
class LSTMStateTuple(NamedTuple):
    """An LSTM's state: c is the memory, h the output of the last step."""

    c: Any
    h: Any


class BasicRNNCell(Cell):
    """h' = activation([x; h] K + b), which is also the output (Elman 1990).

    Parameters: kernel [inputs + units, units], bias [units]. State: h [batch, units].
    """

    def __init__(self, num_units: int, activation: Activation = "tanh") -> None:
        self.num_units = units(num_units, "num_units")
        self.activation = activation_function(activation)

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n = self.num_units
        kernel, bias = p.kernel("kernel", (x.width + n, n)), p.bias("bias", (n,))
        h = self.activation(concat([x, state["h"]]) @ kernel + bias)
        return h, {"h": h}


class LSTMLike(Cell):
    """What cells with the state of an LSTM share: memory c and output h, as two tensors or as one."""

    num_units: int
    state_is_tuple: bool
    hidden: int

    @property
    def state_type(self) -> Any:
        return LSTMStateTuple if self.state_is_tuple else None

    @property
    def output_size(self) -> int:
        return self.hidden

    def state(self) -> Any:
        if self.state_is_tuple:
            return {"c": memory(self.num_units), "h": self.hidden}
        return {"state": joined(memory(self.num_units), self.hidden)}

    def unpacked(self, state: Any) -> tuple[Tensor, Tensor]:
        if self.state_is_tuple:
            return state["c"], state["h"]
        c, h = split(state["state"], [self.num_units, self.hidden])
        return c, h

    def packed(self, c: Tensor, h: Tensor) -> Any:
        return {"c": c, "h": h} if self.state_is_tuple else {"state": concat([c, h])}


class BasicLSTMCell(LSTMLike):
    """The LSTM of Zaremba et al. 2014: c' = c s(f + forget_bias) + s(i) a(j); h' = a(c') s(o), where s is
    recurrent_activation.

    Parameters: kernel [inputs + units, 4 units] with columns i, j, f, o, and bias [4 units]. State:
    LSTMStateTuple(c, h), or [batch, 2 units] (c first) with ``state_is_tuple=False``.
    """

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
    ) -> None:
        self.num_units = self.hidden = units(num_units, "num_units")
        self.forget_bias = bias_of_forgetting(forget_bias)
        self.state_is_tuple = flag(state_is_tuple, "state_is_tuple")
        self.activation = activation_function(activation)
        self.recurrent_activation = activation_function(recurrent_activation)

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, gate = self.num_units, self.recurrent_activation
        c, h = self.unpacked(state)
        kernel, bias = p.kernel("kernel", (x.width + n, 4 * n)), p.bias("bias", (4 * n,))
        i, j, f, o = split(concat([x, h]) @ kernel + bias, 4)
        c = c * gate(f + self.forget_bias) + gate(i) * self.activation(j)
        h = self.activation(c) * gate(o)
        return h, self.packed(c, h)


class LSTMCell(LSTMLike):
    """The LSTM of Sak et al. 2014, with peepholes, clipping and projection as options.

    use_peepholes: i and f see the old c, o the new (``w_i_diag``, ``w_f_diag``, ``w_o_diag`` [units]).
    cell_clip: c' is limited to +-cell_clip before the output gate sees it, and carried so.
    num_proj: h' is projected to this width by ``projection/kernel`` [units, num_proj], without a bias, then limited to
        +-proj_clip.
    recurrent_activation: of the gates.

    State: LSTMStateTuple(c [units], h [num_proj or units]).
    """

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        cell_clip: float | None = None,
        num_proj: int | None = None,
        proj_clip: float | None = None,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
    ) -> None:
        self.num_units = units(num_units, "num_units")
        self.use_peepholes = flag(use_peepholes, "use_peepholes")
        self.cell_clip, self.proj_clip = limit(cell_clip, "cell_clip"), limit_of_projection(proj_clip, num_proj)
        self.num_proj = None if num_proj is None else units(num_proj, "num_proj")
        self.hidden = self.num_proj or self.num_units
        self.forget_bias = number(forget_bias, "forget_bias")
        self.state_is_tuple = flag(state_is_tuple, "state_is_tuple")
        self.activation = activation_function(activation)
        self.recurrent_activation = activation_function(recurrent_activation)

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, gate = self.num_units, self.recurrent_activation
        c, h = self.unpacked(state)
        kernel, bias = p.kernel("kernel", (x.width + self.hidden, 4 * n)), p.bias("bias", (4 * n,))
        i, j, f, o = split(concat([x, h]) @ kernel + bias, 4)
        f = f + self.forget_bias
        if self.use_peepholes:
            f = f + p.kernel("w_f_diag", (n,)) * c
            i = i + p.kernel("w_i_diag", (n,)) * c
        c = gate(f) * c + gate(i) * self.activation(j)
        if self.cell_clip is not None:
            c = self._clipped(c, self.cell_clip)
        if self.use_peepholes:
            o = o + p.kernel("w_o_diag", (n,)) * c
        h = gate(o) * self.activation(c)
        if self.num_proj is not None:
            h = h @ p.kernel("projection/kernel", (n, self.num_proj))
            if self.proj_clip is not None:
                h = clip(h, -self.proj_clip, self.proj_clip)
        return h, self.packed(c, h)

    def _clipped(self, c: Tensor, bound: float) -> Tensor:
        """Return the memory within ±bound. Its gradient is 0 outside."""
        return clip(c, -bound, bound)


def bias_of_forgetting(value: Any) -> float:
    """A forget_bias that stands behind num_units, where torch has a width."""
    if isinstance(value, int | np.integer) and value > MOST_WHOLE_BIAS:
        raise ArgumentError(
            f"forget_bias={value} looks like a width; a cell takes its units alone, and finds the width of its input. "
            f"Write {float(value)} where it is a bias"
        )
    return number(value, "forget_bias")


def limit(value: float | None, what: str) -> float | None:
    if value is None:
        return None
    if not number(value, what) > 0:
        raise ArgumentError(f"{what} must be positive, not {value}; leave it out for no limit")
    return float(value)


def limit_of_projection(value: float | None, num_proj: int | None) -> float | None:
    """Raises where there is no projection: TensorFlow has num_proj one place later."""
    found = limit(value, "proj_clip")
    if found is not None and num_proj is None:
        raise ArgumentError(f"proj_clip={shown(value)} limits a projection, and there is none; give num_proj, too")
    return found


class GRUCell(Cell):
    """The gated recurrent unit of Cho et al. 2014: r, u = s(...); h' = u h + (1 - u) c, where s is
    recurrent_activation.

    reset_after=False: c = a([x; r h] K + b), with ``gates/kernel`` [inputs + units, 2 units] (columns
    r, u), ``gates/bias`` (initially 1), ``candidate/kernel``, ``candidate/bias``.
    reset_after=True (the form of cuDNN and torch): c = a(x W + b + r (h R + b_R)), with
    ``candidate/input_projection/*`` and ``candidate/hidden_projection/*``.
    """

    def __init__(
        self,
        num_units: int,
        activation: Activation = "tanh",
        reset_after: bool = False,
        recurrent_activation: Activation = "sigmoid",
    ) -> None:
        self.num_units = units(num_units, "num_units")
        self.activation = activation_function(activation)
        self.recurrent_activation = activation_function(recurrent_activation)
        self.reset_after = flag(reset_after, "reset_after")

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, h = self.num_units, state["h"]
        gates = concat([x, h]) @ p.kernel("gates/kernel", (x.width + n, 2 * n))
        r, u = split(self.recurrent_activation(gates + p.bias("gates/bias", (2 * n,), "ones")), 2)
        if self.reset_after:
            from_input = x @ p.kernel("candidate/input_projection/kernel", (x.width, n))
            from_input = from_input + p.bias("candidate/input_projection/bias", (n,))
            from_hidden = h @ p.kernel("candidate/hidden_projection/kernel", (n, n))
            from_hidden = from_hidden + p.bias("candidate/hidden_projection/bias", (n,))
            c = self.activation(from_input + r * from_hidden)
        else:
            kernel, bias = p.kernel("candidate/kernel", (x.width + n, n)), p.bias("candidate/bias", (n,))
            c = self.activation(concat([x, r * h]) @ kernel + bias)
        h = u * h + (1 - u) * c
        return h, {"h": h}
