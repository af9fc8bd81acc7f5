"""Cells with options that built-in cells lack. A script that uses one of these cells contains the cell's source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....declare.cell import Cell, NestedStep, Scope, Wrapper
from ....declare.cells.basic import LSTMStateTuple
from ....declare.functions.basic import clip, concat, sigmoid, split, tanh
from ....declare.tensor import Tensor


class FreeLSTMCell(Cell):
    """LSTM with separate activations of gates, candidate and output.

    Arguments of the activations of gates and candidate are clamped to ±``limit``. If ``coupled``, the forget gate is
    1 - the input gate.
    """

    state_type = LSTMStateTuple

    def __init__(
        self,
        num_units: int,
        gate: Any = sigmoid,
        candidate: Any = tanh,
        output: Any = tanh,
        limit: float | None = None,
        use_peepholes: bool = False,
        coupled: bool = False,
    ) -> None:
        self.num_units, self.limit = num_units, limit
        self.gate, self.candidate, self.output = gate, candidate, output
        self.use_peepholes, self.coupled = use_peepholes, coupled

    def state(self) -> Any:
        return {"c": self.num_units, "h": self.num_units}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        n, c, h = self.num_units, state["c"], state["h"]
        sums = concat([x, h]) @ p.kernel("kernel", (x.width + n, 4 * n)) + p.bias("bias", (4 * n,))
        i, j, f, o = split(sums, 4)
        if self.use_peepholes:
            i = i + p.kernel("w_i_diag", (n,)) * c
            f = f + p.kernel("w_f_diag", (n,)) * c
        i, j, f = self.gate(self.clipped(i)), self.candidate(self.clipped(j)), self.gate(self.clipped(f))
        c = (1 - i if self.coupled else f) * c + i * j
        if self.use_peepholes:
            o = o + p.kernel("w_o_diag", (n,)) * c
        h = self.gate(self.clipped(o)) * self.output(c)
        return h, {"c": c, "h": h}

    def clipped(self, x: Tensor) -> Tensor:
        return x if self.limit is None else clip(x, -self.limit, self.limit)


class RuntimeWeights(Wrapper):
    """Wrapper of a cell that replaces parameters by Tensors: {name of the parameter: Tensor}."""

    def __init__(self, cell: Cell, weights: Mapping[str, Tensor]) -> None:
        super().__init__(cell)
        self.weights = weights

    def nested_step(self, p: Scope, x: Tensor, state: Any) -> NestedStep:
        return (yield p.map(self.weight).cell(None, self.cell), x, state)

    def weight(self, name: str, parameter: Tensor) -> Tensor:
        return self.weights[name]
