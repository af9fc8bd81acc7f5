"""Cells with one gated or diagonal state vector. Names and gate orders are those of ``tf.contrib.rnn`` 1.15."""

from __future__ import annotations

from typing import Any

from ...support.arguments import number, units
from ...support.errors import ArgumentError, ShapeError
from ..cell import Cell, Scope
from ..functions.activations import activation_function
from ..functions.basic import concat, split, tanh
from ..initializers import DEFAULT_INITIALIZER, Uniform, initializer_of
from ..tensor import Tensor
from .basic import Activation
from .lstm_variants import kernel_initializer


class UGRNNCell(Cell):
    """Update gate RNN (Collins et al. 2017): h' = g h + (1 - g) a(c), which is also the output.

    Here [g, c] = [x; h] kernel + bias, and g then becomes s(g + forget_bias). Parameters: ``kernel`` [inputs + units,
    2 units] and ``bias`` [2 units]. State: one Tensor [batch, units].

    Args:
        num_units: Width of the state.
        initializer: Initializer of the kernel.
        forget_bias: Added to the gate before its sigmoid.
        activation: The function a.
        recurrent_activation: The function s of the gate.
    """

    def __init__(
        self,
        num_units: int,
        initializer: Any = None,
        forget_bias: float = 1.0,
        activation: Activation = "tanh",
        recurrent_activation: Activation = "sigmoid",
    ) -> None:
        self.num_units = units(num_units, "num_units")
        self.initializer = kernel_initializer(initializer)
        self.forget_bias = number(forget_bias, "forget_bias")
        self.activation = activation_function(activation)
        self.recurrent_activation = activation_function(recurrent_activation)

    def state(self) -> Any:
        return {"s": self.num_units}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, s = self.num_units, state["s"]
        kernel = p.kernel("kernel", (x.width + n, 2 * n), self.initializer)
        g, c = split(concat([x, s]) @ kernel + p.bias("bias", (2 * n,)), 2)
        g = self.recurrent_activation(g + self.forget_bias)
        s = g * s + (1 - g) * self.activation(c)
        return s, {"s": s}


class IntersectionRNNCell(Cell):
    """The +RNN for deep stacks, gated over time and depth (Collins et al. 2017).

        s' = gh s + (1 - gh) tanh(h);  output = gy x + (1 - gy) y_activation(y)

    Here [gh, h, gy, y] = [x; s] kernel + bias. ``forget_bias`` is added to both gates, gh and gy, before their
    activation. Parameters: ``kernel`` [2 units, 4 units] and ``bias`` [4 units]. State: one Tensor s [batch, units].

    Args:
        num_units: Width of the state, and of the input unless it is projected.
        num_in_proj: ``num_units``, to project inputs of another width by ``in_projection/kernel`` [inputs, units] and
            ``in_projection/bias``. None: the input must be ``num_units`` wide.
        initializer: Initializer of the kernels.
        forget_bias: Added to the gates before their activation.
        y_activation: Activation of y.
        recurrent_activation: Activation of the gates.

    Raises:
        ArgumentError: ``num_in_proj`` is not ``num_units``.
        ShapeError: The input has another width, and no projection.
    """

    def __init__(
        self,
        num_units: int,
        num_in_proj: int | None = None,
        initializer: Any = None,
        forget_bias: float = 1.0,
        y_activation: Activation = "relu",
        recurrent_activation: Activation = "sigmoid",
    ) -> None:
        self.num_units = units(num_units, "num_units")
        self.num_in_proj = None if num_in_proj is None else units(num_in_proj, "num_in_proj")
        if self.num_in_proj not in (None, self.num_units):
            raise ArgumentError(
                f"num_in_proj={num_in_proj} must equal num_units={num_units}, the width of the "
                f"state; give num_in_proj={num_units}"
            )
        self.initializer = kernel_initializer(initializer)
        self.forget_bias = number(forget_bias, "forget_bias")
        self.y_activation = activation_function(y_activation)
        self.recurrent_activation = activation_function(recurrent_activation)

    def state(self) -> Any:
        return {"s": self.num_units}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, s = self.num_units, state["s"]
        if x.width != n:
            x = self._projected(p, x)
        kernel = p.kernel("kernel", (2 * n, 4 * n), self.initializer)
        gh, h, gy, y = split(concat([x, s]) @ kernel + p.bias("bias", (4 * n,)), 4)
        gh, gy = (self.recurrent_activation(gate + self.forget_bias) for gate in (gh, gy))
        s = gh * s + (1 - gh) * tanh(h)
        return gy * x + (1 - gy) * self.y_activation(y), {"s": s}

    def _projected(self, p: Scope, x: Tensor) -> Tensor:
        """Project an input to ``num_units``. Raise ``ShapeError`` if the cell has no projection."""
        n = self.num_units
        if self.num_in_proj is None:
            raise ShapeError(f"{self!r} needs inputs of width {n}, not {x.width}; write num_in_proj={n}", self.where)
        kernel = p.kernel("in_projection/kernel", (x.width, n), self.initializer)
        return x @ kernel + p.bias("in_projection/bias", (n,))


class IndRNNCell(Cell):
    """Independently recurrent units (Li et al. 2018): h' = a(x W + u h + b), which is also the output.

    Parameters: W is ``kernel_w`` [inputs, units]; u is ``kernel_u`` [1, units], initially uniform in [-1, 1); and b is
    ``bias`` [units]. State: h [batch, units].

    Args:
        num_units: Width of the state.
        activation: The function a.
    """

    def __init__(self, num_units: int, activation: Activation = "tanh") -> None:
        self.num_units = units(num_units, "num_units")
        self.activation = activation_function(activation)

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n = self.num_units
        w, u = p.kernel("kernel_w", (x.width, n)), p.kernel("kernel_u", (1, n), Uniform(-1.0, 1.0))
        h = self.activation(x @ w + state["h"] * u + p.bias("bias", (n,)))
        return h, {"h": h}


class SRUCell(Cell):
    """Simple recurrent unit, whose matrix product reads only the input (Lei et al. 2018).

        c' = f c + (1 - f) x~;  output = r a(c') + (1 - r) x_t

    Here [x~, f, r, x_t] = x kernel, and then [f, r] become s([f, r] + bias). As in TensorFlow, the highway carries x_t,
    a projection of the input, so that any input width is valid. Parameters: ``kernel`` [inputs, 4 units] and ``bias``
    [2 units]. State: c [batch, units].

    Args:
        num_units: Width of the state.
        activation: The function a.
        recurrent_activation: The function s of the gates.
    """

    def __init__(
        self, num_units: int, activation: Activation = "tanh", recurrent_activation: Activation = "sigmoid"
    ) -> None:
        self.num_units = units(num_units, "num_units")
        self.activation = activation_function(activation)
        self.recurrent_activation = activation_function(recurrent_activation)

    def state(self) -> Any:
        return {"c": self.num_units}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n = self.num_units
        x_bar, f, r, x_through = split(x @ p.kernel("kernel", (x.width, 4 * n)), 4)
        f_bias, r_bias = split(p.bias("bias", (2 * n,)), 2)
        f, r = self.recurrent_activation(f + f_bias), self.recurrent_activation(r + r_bias)
        c = f * state["c"] + (1 - f) * x_bar
        return r * self.activation(c) + (1 - r) * x_through, {"c": c}


class _InputGated(Cell):
    """Base class of MinimalRNNCell and CFNCell, which have the same arguments. The output of both is the state."""

    def __init__(
        self,
        units: int,
        activation: Activation = "tanh",
        kernel_initializer: Any = DEFAULT_INITIALIZER,
        bias_initializer: Any = "ones",
        recurrent_activation: Activation = "sigmoid",
    ) -> None:
        self.units = _units(units)
        self.activation = activation_function(activation)
        self.recurrent_activation = activation_function(recurrent_activation)
        self.kernel_initializer = initializer_of(kernel_initializer)
        self.bias_initializer = initializer_of(bias_initializer)

    def state(self) -> Any:
        return {"h": self.units}


def _units(value: Any) -> int:
    return units(value, "units")


class MinimalRNNCell(_InputGated):
    """RNN with one gate over a mapped input (Chen et al. 2018).

        z = a(x W);  u = s([z; h] G + b);  h' = u h + (1 - u) z, which is also the output

    Parameters: ``kernel`` [inputs + 2 units, units] with W above G, and ``bias`` [units], initially 1.
    State: h [batch, units].

    Args:
        units: Width of the state.
        activation: The function a.
        kernel_initializer: Initializer of the kernel: a name, or a function of a shape and a generator.
        bias_initializer: Initializer of the bias.
        recurrent_activation: The function s of the gate.
    """

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, h = self.units, state["h"]
        kernel = p.kernel("kernel", (x.width + 2 * n, n), self.kernel_initializer)
        z = self.activation(x @ kernel[: x.width])
        u = concat([z, h]) @ kernel[x.width :] + p.bias("bias", (n,), self.bias_initializer)
        u = self.recurrent_activation(u)
        h = u * h + (1 - u) * z
        return h, {"h": h}


class CFNCell(_InputGated):
    """Chaos-free network (Laurent and von Brecht 2017).

        [theta, eta] = s(h U + x V + b);  h' = theta a(h) + (1 - eta) a(x W), which is also the output

    1 - eta is the paper's input gate, which a bias of 1 makes small at first, as in TensorFlow. Parameters: ``kernel``
    [inputs, 3 units] with columns V, W; U is ``recurrent_kernel`` [units, 2 units]; b is ``bias`` [2 units], initially
    1. State: h [batch, units].

    Args:
        units: Width of the state.
        activation: The function a.
        kernel_initializer: Initializer of the kernels: a name, or a function of a shape and a generator.
        bias_initializer: Initializer of the bias.
        recurrent_activation: The function s of the gates.
    """

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, h = self.units, state["h"]
        kernel = p.kernel("kernel", (x.width, 3 * n), self.kernel_initializer)
        recurrent_kernel = p.kernel("recurrent_kernel", (n, 2 * n), self.kernel_initializer)
        bias = p.bias("bias", (2 * n,), self.bias_initializer)
        gates = h @ recurrent_kernel + x @ kernel[:, : 2 * n] + bias
        theta, eta = split(self.recurrent_activation(gates), 2)
        h = theta * self.activation(h) + (1 - eta) * self.activation(x @ kernel[:, 2 * n :])
        return h, {"h": h}
