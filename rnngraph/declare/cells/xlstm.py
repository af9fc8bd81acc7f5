"""Cells of the xLSTM (Beck et al. 2024): exponential gates, stabilised by their running maximum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...support.arguments import flag, units
from ..cell import Scope
from ..functions.activations import log_sigmoid
from ..functions.arrays.contractions import einsum
from ..functions.basic import abs, equal, exp, maximum, reduce_sum, sigmoid, split, tanh, where
from ..state import memory, state
from ..tensor import Tensor
from .linear_attention import MatrixCell
from .parts import PartsCell, by_heads, column, product, read, row, scalar


class SLSTMCell(PartsCell):
    """Scalar LSTM of the xLSTM (Beck et al. 2024): exponential gates and recurrent weights by heads.

        c' = f c + i tanh(z);  n' = f n + i;  h' = sigmoid(o) c' / n'
        m' = max(log f + m, log i);  f = exp(log f + m - m');  i = exp(log i - m')

    Here z, log i, the logit of f and o are projections of x and h: log f is log_sigmoid of that logit. At the first
    step, m' = log i. The output is h'. Parameters: ``kernel`` [inputs, 4 units] with columns z, i, f, o;
    ``recurrent_kernel`` [heads, head_dim, 4 head_dim] likewise; and ``bias`` [4 units]. State: c, n, m and h [batch,
    heads, head_dim].

    The input is one Tensor, or a dict of its projections z, i (log i), f (the logit) and o [batch, heads, head_dim].
    For a dict, the only parameter is ``recurrent_kernel``.

    Args:
        num_heads: Number of heads.
        head_dim: Width of a head. The output has num_heads * head_dim units.
    """

    def __init__(self, num_heads: int, head_dim: int) -> None:
        self.num_heads, self.head_dim = units(num_heads, "num_heads"), units(head_dim, "head_dim")

    @property
    def output_size(self) -> int:
        return self.num_heads * self.head_dim

    def state(self) -> Any:
        shape = (self.num_heads, self.head_dim)
        return {**dict.fromkeys("cnm", memory(shape)), "h": state(shape)}

    def parts(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys("zifo", (self.num_heads, self.head_dim))

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        return by_heads(self.num_heads, *product(p, x, [self.output_size] * 4, use_bias=True))

    def _recurrence(self, p: Scope, state: Any, z: Tensor, i: Tensor, f: Tensor, o: Tensor) -> tuple[Tensor, Any]:
        kernel = p.kernel("recurrent_kernel", (self.num_heads, self.head_dim, 4 * self.head_dim))
        of_state = split(einsum("bhd,hde->bhe", state["h"], kernel), 4, 2)
        z, i, f, o = (part + own for part, own in zip((z, i, f, o), of_state, strict=True))
        kept = where(equal(state["n"], 0), i, log_sigmoid(f) + state["m"])  # the first step has no past
        m = maximum(kept, i)
        f, i = exp(kept - m), exp(i - m)
        c, n = f * state["c"] + i * tanh(z), f * state["n"] + i
        h = sigmoid(o) * c / n
        return h, {"c": c, "n": n, "m": m, "h": h}


class MLSTMCell(MatrixCell):
    """Matrix LSTM of the xLSTM (Beck et al. 2024): exponential gates over a matrix of keys and values.

        C' = f C + i k v;  n' = f n + i k;  output = sigmoid(o) (q C') / max(|q n'|, exp(-m'))
        m' = max(log f + m, log i);  f = exp(log f + m - m');  i = exp(log i - m')

    Here k v is an outer product, and k is divided by sqrt(head_dim). q, k, v, o, log i and the logit of f are
    projections of x: log f is log_sigmoid of that logit. Parameters: ``kernel`` [inputs, heads (2 head_dim +
    2 value_dim + 2)] with columns q, k, v, o, i, f, where o is missing without an output gate, and ``bias``. State: C
    [batch, heads, head_dim, value_dim], n [batch, heads, head_dim] and m [batch, heads].

    The input is one Tensor, or a dict of the projections q, k [batch, heads, head_dim], v, o [batch, heads, value_dim],
    i (log i) and f (the logit) [batch, heads]. For a dict, the cell has no parameters.

    Args:
        num_heads: Number of heads.
        head_dim: Width of a query and a key.
        value_dim: Width of a value. None: ``head_dim``. The output has num_heads * value_dim units.
        output_gate: Multiply the output by sigmoid(o). False: there is no o.
    """

    def __init__(self, num_heads: int, head_dim: int, value_dim: int | None = None, output_gate: bool = True) -> None:
        super().__init__(num_heads, head_dim, value_dim)
        self.output_gate = flag(output_gate, "output_gate")

    def state(self) -> Any:
        heads, keys = self.num_heads, self.head_dim
        return {"C": memory((heads, keys, self.value_dim)), "n": memory((heads, keys)), "m": memory(heads)}

    def parts(self) -> dict[str, tuple[int, ...]]:
        gate = {"o": (self.num_heads, self.value_dim)} if self.output_gate else {}
        return {**super().parts(), **gate, "i": (self.num_heads,), "f": (self.num_heads,)}

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        gate = [self.output_size] if self.output_gate else []
        *vectors, i, f = product(p, x, [*self._widths, *gate, self.num_heads, self.num_heads], use_bias=True)
        return *by_heads(self.num_heads, *vectors), i, f

    def _recurrence(self, p: Scope, state: Any, *args: Tensor) -> tuple[Tensor, Any]:
        q, k, v, *gate, i, f = args
        k = k * self.head_dim**-0.5
        kept = log_sigmoid(f) + state["m"]
        m = maximum(kept, i)
        f, i = exp(kept - m), exp(i - m)
        C = scalar(f) * state["C"] + column(column(i) * k) * row(v)
        n = column(f) * state["n"] + column(i) * k
        y = read(C, q) / column(maximum(abs(reduce_sum(q * n, 2)), exp(-m)))
        return sigmoid(gate[0]) * y if gate else y, {"C": C, "n": n, "m": m}
