"""Diagonal linear recurrences: the LRU, the RG-LRU, and the state spaces of Mamba and Mamba-2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...support.arguments import check_positive, number, units
from ...support.errors import ArgumentError
from ..cell import Cell, Scope
from ..functions.activations import softplus
from ..functions.arrays.contractions import einsum
from ..functions.arrays.moves import repeat
from ..functions.basic import (
    cos,
    exp,
    expm1,
    reduce_sum,
    reshape,
    sigmoid,
    sin,
    split,
    sqrt,
)
from ..state import memory
from ..tensor import Tensor
from .parts import (
    PartsCell,
    by_heads,
    column,
    inverse_softplus_of_steps,
    log_of_uniform,
    low_rank,
    of_width,
    product,
    read,
    row,
    scalar,
)

MIN_RADIUS, MAX_RADIUS = 0.9, 0.999
"""Range from which the initial radii exp(-softplus(a)) of an RG-LRU are drawn (De et al. 2024, section 2.4)."""


class LRUCell(Cell):
    """Linear recurrent unit: a complex diagonal state (Orvieto et al. 2023).

        s' = Λ s + γ (x B);  output = real(s' C) + x D;  Λ = exp(-ν + i θ)

    Parameters: ``nu_log``, ``theta_log`` and ``gamma_log`` [states], whose exponentials are ν, θ and γ; ``B_re`` and
    ``B_im`` [inputs, states]; ``C_re`` and ``C_im`` [states, units]; and ``D`` [units], or [inputs, units] if the
    widths differ. State: ``real`` and ``imag``, the parts of s [batch, states].

    Args:
        num_units: Width of the output.
        state_dim: Number of complex states. None: ``num_units``.
        r_min: Minimum initial absolute value of Λ.
        r_max: Maximum initial absolute value of Λ, at most 1.
        max_phase: Maximum initial angle of Λ; positive.
    """

    def __init__(
        self,
        num_units: int,
        state_dim: int | None = None,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
    ) -> None:
        self.num_units = units(num_units, "num_units")
        self.state_dim = self.num_units if state_dim is None else units(state_dim, "state_dim")
        self.r_min, self.r_max = number(r_min, "r_min"), number(r_max, "r_max")
        check_positive("max_phase", max_phase)
        self.max_phase = float(max_phase)
        if not 0 <= self.r_min < self.r_max <= 1:
            raise ArgumentError(f"r_min={r_min} and r_max={r_max} must satisfy 0 <= r_min < r_max <= 1")

    @property
    def output_size(self) -> int:
        return self.num_units

    def state(self) -> Any:
        return {"real": memory(self.state_dim), "imag": memory(self.state_dim)}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, wide, high = self.state_dim, x.width, self.num_units
        nu = exp(p.parameter("nu_log", (n,), self._nu_log))
        size, angle = exp(-nu), exp(p.parameter("theta_log", (n,), self._theta_log))
        gamma = exp(p.parameter("gamma_log", (n,), self._gamma_log))
        a, b = size * cos(angle), size * sin(angle)
        real, imag = state["real"], state["imag"]
        into, out = _normal(math.sqrt(0.5 / wide)), _normal(math.sqrt(1 / n))
        new_real = a * real - b * imag + gamma * (x @ p.kernel("B_re", (wide, n), into))
        new_imag = a * imag + b * real + gamma * (x @ p.kernel("B_im", (wide, n), into))
        y = new_real @ p.kernel("C_re", (n, high), out) - new_imag @ p.kernel("C_im", (n, high), out)
        past = x * p.parameter("D", (high,), _normal(1)) if wide == high else x @ p.kernel("D", (wide, high))
        return y + past, {"real": new_real, "imag": new_imag}

    def _squares(self) -> Any:
        """Return the squares of the initial |Λ|. They are evenly spaced, so that Λ is uniform by area on the ring."""
        low, high = self.r_min**2, self.r_max**2
        return low + (high - low) * (np.arange(self.state_dim) + 0.5) / self.state_dim

    def _nu_log(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return np.log(-0.5 * np.log(self._squares()))

    def _theta_log(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return np.log(generator.uniform(0, self.max_phase, shape))

    def _gamma_log(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return 0.5 * np.log(1 - self._squares())


def _normal(deviation: float) -> Any:
    return lambda shape, generator: deviation * generator.standard_normal(shape)


class RGLRUCell(PartsCell):
    """Real-gated linear recurrent unit of Griffin (De et al. 2024).

        h' = exp(g) h + sqrt(1 - exp(2 g)) (i x);  g = -decay_scale softplus(a) r;  r, i = sigmoid(x W + b)

    The output is h'. Parameters: ``a`` [units]; ``gates/kernel`` [units, 2 units] with columns r, i, and ``gates/bias``
    [2 units]; with several heads, [heads, units / heads, 2 units / heads] and [heads, 2 units / heads]; and
    ``in_projection/kernel`` [inputs, units] for an input of another width. State: h [batch, units].

    The input is one Tensor, or a dict of g and x [batch, units], where x is the product i x of the formula. For a dict,
    the cell has no parameters.

    Args:
        num_units: Width of the state.
        num_heads: Number of diagonal blocks of the gates' weights.
        decay_scale: The paper's constant c; positive.
    """

    def __init__(self, num_units: int, num_heads: int = 1, decay_scale: float = 8.0) -> None:
        self.num_units, self.num_heads = units(num_units, "num_units"), units(num_heads, "num_heads")
        check_positive("decay_scale", decay_scale)
        self.decay_scale = float(decay_scale)
        if self.num_units % self.num_heads:
            raise ArgumentError(f"num_heads={num_heads} must divide num_units={num_units}")

    def state(self) -> Any:
        return {"h": self.num_units}

    def parts(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys("gx", (self.num_units,))

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        n, heads = self.num_units, self.num_heads
        x = of_width(p, x, n)
        if heads == 1:
            r, i = split(x @ p.kernel("gates/kernel", (n, 2 * n)) + p.bias("gates/bias", (2 * n,)), 2)
        else:
            kernel = p.kernel("gates/kernel", (heads, n // heads, 2 * n // heads))
            gates = einsum("bhi,hij->bhj", by_heads(heads, x)[0], kernel)
            r, i = split(gates + p.bias("gates/bias", (heads, 2 * n // heads)), 2, 2)
            r, i = (reshape(gate, (None, n)) for gate in (r, i))
        r, i = sigmoid(r), sigmoid(i)
        return -self.decay_scale * softplus(p.parameter("a", (self.num_units,), _radii)) * r, i * x

    def _recurrence(self, p: Scope, state: Any, g: Tensor, x: Tensor) -> tuple[Tensor, Any]:
        h = exp(g) * state["h"] + sqrt(-expm1(2 * g)) * x
        return h, {"h": h}


def _radii(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    """Draw ``a`` so that exp(-softplus(a)) is a radius from MIN_RADIUS to MAX_RADIUS, uniform by area."""
    squares = generator.uniform(MIN_RADIUS**2, MAX_RADIUS**2, shape)
    return np.log(np.expm1(-0.5 * np.log(squares)))


class S6Cell(PartsCell):
    """Selective state space of Mamba (Gu and Dao 2023), with ``state_dim`` states for each channel.

        h' = exp(dt A) h + dt x B;  output = h' C + D x;  A = -exp(A_log)

    B and C are projections of x, and dt = softplus(x down up + bias). Parameters: ``A_log`` [units, states]; ``D``
    [units]; ``kernel`` [units, 2 states] with columns B, C; ``dt/down`` [units, dt_rank]; ``dt/up`` [dt_rank, units];
    ``dt/bias`` [units]; and ``in_projection/kernel`` [inputs, units] for an input of another width.
    State: h [batch, units, states].

    The input is one Tensor, or a dict of x and dt [batch, units], B and C [batch, states], as in the formula. For a
    dict, the parameters are ``A_log`` and ``D`` alone.

    Args:
        num_units: Number of channels, the width of the output.
        state_dim: Number of states of a channel.
        dt_rank: Rank of the projection to dt. None: ceil(num_units / 16).
    """

    def __init__(self, num_units: int, state_dim: int = 16, dt_rank: int | None = None) -> None:
        self.num_units, self.state_dim = units(num_units, "num_units"), units(state_dim, "state_dim")
        self.dt_rank = -(-self.num_units // 16) if dt_rank is None else units(dt_rank, "dt_rank")

    @property
    def output_size(self) -> int:
        return self.num_units

    def state(self) -> Any:
        return {"h": memory((self.num_units, self.state_dim))}

    def parts(self) -> dict[str, tuple[int, ...]]:
        return {**dict.fromkeys(("x", "dt"), (self.num_units,)), **dict.fromkeys("BC", (self.state_dim,))}

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        x = of_width(p, x, self.num_units)
        keys, queries = product(p, x, [self.state_dim] * 2)
        dt = low_rank(p, "dt", x, self.dt_rank, self.num_units)
        return x, softplus(dt + p.bias("dt/bias", (self.num_units,), inverse_softplus_of_steps)), keys, queries

    def _recurrence(
        self, p: Scope, state: Any, x: Tensor, dt: Tensor, key: Tensor, query: Tensor
    ) -> tuple[Tensor, Any]:
        n, states = self.num_units, self.state_dim
        A = -exp(p.parameter("A_log", (n, states), lambda shape, _: np.log(np.tile(np.arange(1, 1 + states), (n, 1)))))
        h = exp(column(dt) * A) * state["h"] + column(dt * x) * row(key)
        return reduce_sum(h * row(query), 2) + p.parameter("D", (n,), "ones") * x, {"h": h}


class SSDCell(PartsCell):
    """State space dual of Mamba-2 (Dao and Gu 2024): a matrix state and one decay for each head.

        S' = exp(dt A) S + B (dt x);  output = C S' + D x;  A = -exp(A_log)

    Here B (dt x) is an outer product. x [head_dim], B and C [states] are projections of the input, and dt is softplus
    of a projection plus ``dt/bias``. The heads of a group share B and C.
    Parameters: ``A_log`` and ``D`` [heads]; ``kernel`` [inputs, heads head_dim + heads + 2 groups states] with columns
    x, dt, B, C; and ``dt/bias`` [heads]. State: S [batch, heads, states, head_dim].

    The input is one Tensor, or a dict of x [batch, heads, head_dim], dt [batch, heads], B and C [batch, groups,
    states], as in the formula. For a dict, the parameters are ``A_log`` and ``D`` alone.

    Args:
        num_heads: Number of heads.
        head_dim: Width of a head. The output has num_heads * head_dim units.
        state_dim: Number of states.
        num_groups: Number of groups of heads that share B and C.
    """

    def __init__(self, num_heads: int, head_dim: int, state_dim: int = 128, num_groups: int = 1) -> None:
        self.num_heads, self.head_dim = units(num_heads, "num_heads"), units(head_dim, "head_dim")
        self.state_dim, self.num_groups = units(state_dim, "state_dim"), units(num_groups, "num_groups")
        if self.num_heads % self.num_groups:
            raise ArgumentError(f"num_groups={num_groups} must divide num_heads={num_heads}")

    @property
    def output_size(self) -> int:
        return self.num_heads * self.head_dim

    def state(self) -> Any:
        return {"S": memory((self.num_heads, self.state_dim, self.head_dim))}

    def parts(self) -> dict[str, tuple[int, ...]]:
        shared = (self.num_groups, self.state_dim)
        return {"x": (self.num_heads, self.head_dim), "dt": (self.num_heads,), "B": shared, "C": shared}

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        shared = self.num_groups * self.state_dim
        x, dt, key, query = product(p, x, [self.output_size, self.num_heads, shared, shared])
        dt = softplus(dt + p.bias("dt/bias", (self.num_heads,), inverse_softplus_of_steps))
        return *by_heads(self.num_heads, x), dt, *by_heads(self.num_groups, key, query)

    def _recurrence(
        self, p: Scope, state: Any, x: Tensor, dt: Tensor, key: Tensor, query: Tensor
    ) -> tuple[Tensor, Any]:
        if self.num_groups > 1:
            key, query = (repeat(part, self.num_heads // self.num_groups, 1) for part in (key, query))
        decay = exp(-dt * exp(p.parameter("A_log", (self.num_heads,), log_of_uniform(1, 16))))
        S = scalar(decay) * state["S"] + column(key) * row(column(dt) * x)
        return read(S, query) + column(p.parameter("D", (self.num_heads,), "ones")) * x, {"S": S}
