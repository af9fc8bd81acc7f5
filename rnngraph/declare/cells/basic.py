"""Basic cells: RNN, LSTM and GRU. Parameter names and gate orders are those of TensorFlow 1.15."""

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

MAX_INT_BIAS = 5
"""Maximum forget_bias that may be an int. A larger int is probably a width."""
Activation = str | Callable[[Any], Tensor] | None


@api
@telling
class LSTMStateTuple(NamedTuple):
    """State of an LSTM.

    Attributes:
        c: Memory [batch, units].
        h: Output of the last step [batch, units].
    """

    c: Any
    h: Any


class BasicRNNCell(Cell):
    """Elman network (1990): h' = activation([x; h] kernel + bias), which is also the output.

    Parameters: ``kernel`` [inputs + units, units] and ``bias`` [units]. State: h [batch, units].

    Args:
        num_units: Width of the state.
        activation: Name, function, or None for no activation.
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
    """Base class of cells with an LSTM's state: memory c and output h, as two Tensors or as one.

    Attributes:
        num_units: Width of c.
        state_is_tuple: False: the state is one Tensor, c before h.
        hidden: Width of h.
    """

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
        """Return (c, h) of a state."""
        if self.state_is_tuple:
            return state["c"], state["h"]
        c, h = split(state["state"], [self.num_units, self.hidden])
        return c, h

    def packed(self, c: Tensor, h: Tensor) -> Any:
        """Return the state that consists of c and h."""
        return {"c": c, "h": h} if self.state_is_tuple else {"state": concat([c, h])}


class BasicLSTMCell(LSTMLike):
    """LSTM without peepholes, clipping and projection (Zaremba et al. 2014).

        [i, j, f, o] = [x; h] kernel + bias;  c' = c s(f + forget_bias) + s(i) a(j);  h' = a(c') s(o)

    The output is h'. Parameters: ``kernel`` [inputs + units, 4 units] with columns i, j, f, o, and ``bias`` [4 units].

    Args:
        num_units: Width of c and h.
        forget_bias: Added to f before its sigmoid.
        state_is_tuple: True: the state is LSTMStateTuple(c, h). False: it is one tensor [batch, 2 units], with c first.
        activation: The function a.
        recurrent_activation: The function s of the gates.

    Raises:
        ArgumentError: ``forget_bias`` is an int above 5, which is probably a width.
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
        self.forget_bias = checked_forget_bias(forget_bias)
        self.state_is_tuple = flag(state_is_tuple, "state_is_tuple")
        self.activation = activation_function(activation)
        self.recurrent_activation = activation_function(recurrent_activation)

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, gate = self.num_units, self.recurrent_activation
        c, h = self.unpacked(state)
        kernel, bias = p.kernel("kernel", (x.width + n, 4 * n)), p.bias("bias", (4 * n,))
        gates = concat([x, h]) @ kernel + bias
        i, j, f, o = split(gates, 4)
        c = c * gate(f + self.forget_bias) + gate(i) * self.activation(j)
        h = self.activation(c) * gate(o)
        return h, self.packed(c, h)


class LSTMCell(LSTMLike):
    """LSTM with peepholes, clipping and projection as options (Sak et al. 2014).

    Parameters: ``kernel`` [inputs + hidden, 4 units] with columns i, j, f, o, and ``bias`` [4 units], where hidden is
    ``num_proj``, or ``num_units`` without a projection. State: LSTMStateTuple(c [units], h [hidden]). The output is h'.

    Args:
        num_units: Width of c.
        use_peepholes: Gates i and f read the old c, and o the new one, through ``w_i_diag``, ``w_f_diag`` and
            ``w_o_diag`` [units].
        cell_clip: Clamp c' to ±cell_clip, before the output gate reads it.
        num_proj: Width of h' after the projection ``projection/kernel`` [units, num_proj]. None: no projection.
        proj_clip: Clamp the projected h' to ±proj_clip.
        forget_bias: Added to f before its sigmoid.
        state_is_tuple: True: the state is LSTMStateTuple(c, h). False: it is one tensor [batch, units + hidden], with
            c first.
        activation: Activation of the candidate and of c'.
        recurrent_activation: Activation of the gates.

    Raises:
        ArgumentError: A limit is not positive, or ``proj_clip`` is given without ``num_proj``.
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
        self.cell_clip, self.proj_clip = limit(cell_clip, "cell_clip"), checked_proj_clip(proj_clip, num_proj)
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
        gates = concat([x, h]) @ kernel + bias
        i, j, f, o = split(gates, 4)
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
        """Clamp the memory to ±bound. Outside these limits, the gradient is 0."""
        return clip(c, -bound, bound)


def checked_forget_bias(value: Any) -> float:
    """Return ``forget_bias`` as a float. Raise ``ArgumentError`` for an int above 5.

    An int is then probably the width of the input, which cells of torch take at this position.
    """
    if isinstance(value, int | np.integer) and value > MAX_INT_BIAS:
        raise ArgumentError(
            f"forget_bias={value} looks like a width, which a cell infers from its input; give units only, or write "
            f"{float(value)} for a bias"
        )
    return number(value, "forget_bias")


def limit(value: float | None, what: str) -> float | None:
    """Return the limit of a clamp as a float, or None for no limit. Raise ``ArgumentError`` unless it is positive."""
    if value is None:
        return None
    if not number(value, what) > 0:
        raise ArgumentError(f"{what} must be positive, not {value}; leave it out for no limit")
    return float(value)


def checked_proj_clip(value: float | None, num_proj: int | None) -> float | None:
    """Return ``proj_clip`` as a float, or None for no limit. Raise ``ArgumentError`` for one without ``num_proj``."""
    bound = limit(value, "proj_clip")
    if bound is not None and num_proj is None:
        raise ArgumentError(f"proj_clip={shown(value)} needs a projection; give num_proj, too")
    return bound


class GRUCell(Cell):
    """Gated recurrent unit (Cho et al. 2014).

        [r, u] = s([x; h] G + b_G);  h' = u h + (1 - u) c

    With ``reset_after=False``, c = a([x; r h] K + b). With ``reset_after=True``, as in cuDNN and torch,
    c = a(x W + b + r (h R + b_R)). The output is h'.

    Parameters: ``gates/kernel`` [inputs + units, 2 units] with columns r, u, and ``gates/bias`` [2 units], initially 1.
    The candidate's parameters are ``candidate/kernel`` and ``candidate/bias``. With ``reset_after=True``, they are
    ``candidate/input_projection/*`` and ``candidate/hidden_projection/*``. State: h [batch, units].

    Args:
        num_units: Width of the state.
        activation: The function a.
        reset_after: Multiply by the reset gate r after the product with R, rather than before.
        recurrent_activation: The function s of the gates.
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
        gates = self.recurrent_activation(gates + p.bias("gates/bias", (2 * n,), "ones"))
        r, u = split(gates, 2)
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
