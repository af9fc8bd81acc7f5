"""Cells whose state is a matrix of keys and values for each head: linear attention and delta rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...support.arguments import check_positive, units
from ..cell import Scope
from ..functions.activations import log_sigmoid, softplus
from ..functions.basic import exp, reduce_sum, reshape, sigmoid, tanh
from ..functions.normalization import group_norm, normalize
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


class MatrixCell(PartsCell):
    """Base class of cells with a state S [batch, heads, head_dim, value_dim]."""

    def __init__(self, num_heads: int, head_dim: int, value_dim: int | None = None) -> None:
        self.num_heads, self.head_dim = units(num_heads, "num_heads"), units(head_dim, "head_dim")
        self.value_dim = self.head_dim if value_dim is None else units(value_dim, "value_dim")

    @property
    def output_size(self) -> int:
        return self.num_heads * self.value_dim

    def state(self) -> Any:
        return {"S": memory((self.num_heads, self.head_dim, self.value_dim))}

    def parts(self) -> dict[str, tuple[int, ...]]:
        keys = (self.num_heads, self.head_dim)
        return {"q": keys, "k": keys, "v": (self.num_heads, self.value_dim)}

    @property
    def _widths(self) -> list[int]:
        """Widths of the projections to queries, keys and values."""
        keys = self.num_heads * self.head_dim
        return [keys, keys, self.output_size]


class GatedLinearAttentionCell(MatrixCell):
    """Gated linear attention (Yang et al. 2023): a decay for each entry of the key.

        S' = exp(g) S + k v;  output = q S'

    Here k v is an outer product. In each head, q, k [head_dim] and v [value_dim] are projections of the input, and g
    [head_dim] is log_sigmoid(x down up + bias) / temperature. Parameters: ``kernel`` [inputs, heads (2 head_dim +
    value_dim)] with columns q, k, v; ``gate/down`` [inputs, gate_rank]; ``gate/up`` [gate_rank, heads head_dim]; and
    ``gate/bias`` [heads head_dim]. State: S [batch, heads, head_dim, value_dim].

    The input is one Tensor, or a dict of q, k, g [batch, heads, head_dim] and v [batch, heads, value_dim]. For a dict,
    the cell has no parameters.

    Args:
        num_heads: Number of heads.
        head_dim: Width of a query and a key.
        value_dim: Width of a value. None: ``head_dim``. The output has num_heads * value_dim units.
        gate_rank: Rank of the projection to the decays.
        temperature: Divisor of the decays' logarithms, the paper's τ; positive.
    """

    def __init__(
        self,
        num_heads: int,
        head_dim: int,
        value_dim: int | None = None,
        gate_rank: int = 16,
        temperature: float = 16.0,
    ) -> None:
        super().__init__(num_heads, head_dim, value_dim)
        check_positive("temperature", temperature)
        self.gate_rank, self.temperature = units(gate_rank, "gate_rank"), float(temperature)

    def parts(self) -> dict[str, tuple[int, ...]]:
        return {**super().parts(), "g": (self.num_heads, self.head_dim)}

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        width = self._widths[0]
        g = low_rank(p, "gate", x, self.gate_rank, width) + p.bias("gate/bias", (width,))
        return by_heads(self.num_heads, *product(p, x, self._widths), log_sigmoid(g) / self.temperature)

    def _recurrence(self, p: Scope, state: Any, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> tuple[Tensor, Any]:
        S = column(exp(g)) * state["S"] + column(k) * row(v)
        return read(S, q), {"S": S}


class DeltaNetCell(MatrixCell):
    """DeltaNet (Schlag et al. 2021; Yang et al. 2024): each step corrects the value stored at a key.

        S' = S + beta k (v - k S);  output = q S'

    Here k (v - k S) is an outer product. In each head, q and k [head_dim] and v [value_dim] are projections of the
    input; q and k are scaled to norm 1. The scalar beta is sigmoid(x K). Parameters: ``kernel`` [inputs, heads
    (2 head_dim + value_dim + 1)] with columns q, k, v, beta. State: S [batch, heads, head_dim, value_dim].

    The input is one Tensor, or a dict of q, k [batch, heads, head_dim], v [batch, heads, value_dim] and beta [batch,
    heads], as in the formula. For a dict, the cell has no parameters, and scales nothing.

    Args:
        num_heads: Number of heads.
        head_dim: Width of a query and a key.
        value_dim: Width of a value. None: ``head_dim``. The output has num_heads * value_dim units.
    """

    def parts(self) -> dict[str, tuple[int, ...]]:
        return {**super().parts(), "beta": (self.num_heads,)}

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        *vectors, beta = product(p, x, [*self._widths, self.num_heads])
        q, k, v = by_heads(self.num_heads, *vectors)
        return normalize(q), normalize(k), v, sigmoid(beta)

    def _recurrence(self, p: Scope, state: Any, q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> tuple[Tensor, Any]:
        S = corrected(state["S"], k, v, beta)
        return read(S, q), {"S": S}


class GatedDeltaNetCell(MatrixCell):
    """Gated DeltaNet (Yang et al. 2025): a delta rule with one decay for each head.

        D = exp(g) S;  S' = D + beta k (v - k D);  output = q S'

    Here k (v - k D) is an outer product. In each head, q and k [head_dim] and v [value_dim] are projections of the
    input; q and k are scaled to norm 1. Scalars are beta = sigmoid(x K) and g = -exp(A_log) softplus(x K + bias).
    Parameters: ``kernel`` [inputs, heads (2 head_dim + value_dim + 2)] with columns q, k, v, beta, g; ``A_log`` and
    ``gate/bias`` [heads]. State: S [batch, heads, head_dim, value_dim].

    The input is one Tensor, or a dict of q, k [batch, heads, head_dim], v [batch, heads, value_dim], beta and g [batch,
    heads], as in the formula. For a dict, the cell has no parameters, and scales nothing.

    Args:
        num_heads: Number of heads.
        head_dim: Width of a query and a key.
        value_dim: Width of a value. None: ``head_dim``. The output has num_heads * value_dim units.
    """

    def parts(self) -> dict[str, tuple[int, ...]]:
        return {**super().parts(), "beta": (self.num_heads,), "g": (self.num_heads,)}

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        heads = self.num_heads
        *vectors, beta, g = product(p, x, [*self._widths, heads, heads])
        q, k, v = by_heads(heads, *vectors)
        g = softplus(g + p.bias("gate/bias", (heads,), inverse_softplus_of_steps))
        g = -exp(p.parameter("A_log", (heads,), log_of_uniform(1, 16))) * g
        return normalize(q), normalize(k), v, sigmoid(beta), g

    def _recurrence(
        self, p: Scope, state: Any, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor
    ) -> tuple[Tensor, Any]:
        S = corrected(scalar(exp(g)) * state["S"], k, v, beta)
        return read(S, q), {"S": S}


def corrected(S: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    """Return S after the value at key k moved towards v by the factor beta (Widrow and Hoff 1960).

    Args:
        S: Matrices [batch, heads, keys, values]. The value at key k is the product k S.
        k: Keys [batch, heads, keys].
        v: Values [batch, heads, values].
        beta: float [batch, heads].
    """
    return S + column(k) * row(column(beta) * (v - read(S, k)))


LARGEST_DECAY = -0.6065306597126334
"""Logarithm of the fastest decay of RWKV-7: -exp(-1/2)."""
GROUP_NORM_EPSILON = 64e-5


class RWKV7Cell(MatrixCell):
    """Time mixing of RWKV-7 (Peng et al. 2025), as in the first layer.

        S' = exp(w) S - (a κ) (κ S) + k v;  output = ((group_norm(r S') + sum(r bonus k) v) gate) output_kernel

    Here (a κ) (κ S) and k v are outer products. Each of r, w, k, v, a and gate is a projection of
    x + (x_before - x) mix, with its own vector mix. r, k and v are products with matrices. The low-rank projections are
    w = -exp(-1/2) sigmoid(tanh(· down) up + bias), a = sigmoid(· down up + bias) and gate = sigmoid(· down) up.
    κ is k removal, scaled to norm 1 in each head. After that, k is multiplied by 1 + (a - 1) replacement.

    Parameters: ``mix/*`` [units], one for each projection; ``r``, ``k``, ``v`` and ``output`` [units, units];
    ``w/down``, ``w/up`` and ``w/bias``; ``a/down``, ``a/up`` and ``a/bias``; ``gate/down`` and ``gate/up``;
    ``removal``, ``replacement`` and ``bonus`` [units]; ``group_norm/gamma`` and ``beta`` [units]; and
    ``in_projection/kernel`` [inputs, units] for an input of another width. State: x [batch, units], the previous input,
    and S [batch, heads, head_dim, head_dim].

    The input is one Tensor, or a dict of r, w, k, v, κ (``kappa``) and a [batch, heads, head_dim], as in the first
    formula. For a dict, the output is r S', and the cell has no parameters.

    Args:
        num_heads: Number of heads.
        head_dim: Width of a head. The output has num_heads * head_dim units.
        decay_rank: Rank of the projection to w.
        rate_rank: Rank of the projection to a.
        gate_rank: Rank of the projection to the gate.
    """

    def __init__(
        self, num_heads: int, head_dim: int, decay_rank: int = 64, rate_rank: int = 64, gate_rank: int = 128
    ) -> None:
        super().__init__(num_heads, head_dim)
        self.decay_rank, self.rate_rank = units(decay_rank, "decay_rank"), units(rate_rank, "rate_rank")
        self.gate_rank = units(gate_rank, "gate_rank")

    def state(self) -> Any:
        return {"x": memory(self.output_size), **super().state()}

    def parts(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(("r", "w", "k", "v", "kappa", "a"), (self.num_heads, self.head_dim))

    def step(self, p: Scope, x: Any, state: Any) -> tuple[Tensor, Any]:
        if not isinstance(x, Tensor):
            return super().step(p, x, state)
        width, heads = self.output_size, self.num_heads
        x = of_width(p, x, width)
        mixed = {name: x + (state["x"] - x) * p.parameter(f"mix/{name}", (width,), 0.5) for name in "rwkvag"}
        parts = self._of_mixtures(p, mixed)
        y, new = self._recurrence(p, state, **parts)
        y = group_norm(
            reshape(y, (None, width)),
            heads,
            p.parameter("group_norm/gamma", (width,), "ones"),
            p.bias("group_norm/beta", (width,)),
            epsilon=GROUP_NORM_EPSILON,
        )
        bonus = reshape(p.parameter("bonus", (width,), -0.04), (heads, self.head_dim))
        likeness = reduce_sum(parts["r"] * bonus * parts["k"], 2, keepdims=True)
        y = y + reshape(likeness * parts["v"], (None, width))
        y = y * low_rank(p, "gate", mixed["g"], self.gate_rank, width, sigmoid)
        return y @ p.kernel("output", (width, width)), {**new, "x": x}

    def _of_mixtures(self, p: Scope, mixed: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return r, w, k, v, kappa and a [batch, heads, head_dim] by name, from the mixed inputs of the projections."""
        width = self.output_size
        r, k, v = (mixed[name] @ p.kernel(name, (width, width)) for name in "rkv")
        w = low_rank(p, "w", mixed["w"], self.decay_rank, width, tanh) + p.bias("w/bias", (width,))
        a = sigmoid(low_rank(p, "a", mixed["a"], self.rate_rank, width) + p.bias("a/bias", (width,)))
        removed = k * p.parameter("removal", (width,), 0.85)
        k = k * (1 + (a - 1) * p.parameter("replacement", (width,), "ones"))
        w = LARGEST_DECAY * sigmoid(w)
        parts = dict(zip(self.parts(), by_heads(self.num_heads, r, w, k, v, removed, a), strict=True))
        return {**parts, "kappa": normalize(parts["kappa"])}

    def _recurrence(
        self, p: Scope, state: Any, r: Tensor, w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor
    ) -> tuple[Tensor, Any]:
        S = state["S"]
        S = column(exp(w)) * S - column(kappa * a) * row(read(S, kappa)) + column(k) * row(v)
        return read(S, r), {"x": state["x"], "S": S}
