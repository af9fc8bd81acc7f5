"""A cell and an optimizer of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnngraph as rg


class MinimalGatedCell(rg.Cell):
    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> dict[str, int]:
        return {"h": self.num_units}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, dict[str, rg.Tensor]]:
        n, h = self.num_units, state["h"]
        f = rg.sigmoid(x @ p.kernel("w_f", (x.width, n)) + h @ p.kernel("u_f", (n, n)) + p.bias("b_f", (n,)))
        c = rg.tanh(x @ p.kernel("w_c", (x.width, n)) + (f * h) @ p.kernel("u_c", (n, n)))
        h = (1 - f) * h + f * c
        return h, {"h": h}


@dataclass(frozen=True)
class SignDescent(rg.Optimizer):
    def update(
        self,
        parameter: rg.Tensor,
        gradient: rg.Tensor,
        slots: Mapping[str, rg.Tensor],
        numbers: Mapping[str, rg.Tensor],
    ) -> tuple[rg.Tensor, Mapping[str, rg.Tensor]]:
        return parameter - rg.sign(gradient) * numbers["rate"], {}


x = rg.placeholder("x", (None, "T", 3))
cell = rg.shared(rg.ResidualWrapper(MinimalGatedCell(3)))
outputs, state = rg.dynamic_rnn(cell, x, initial_state=rg.state_placeholder("start", cell))
loss = rg.reduce_mean(rg.square(rg.tap("outputs", outputs)), axis=[0, 1, 2])
program = rg.compile({"outputs": outputs}, loss=loss)
trainer = rg.Trainer(program, SignDescent(rg.CosineDecay(0.1, 10)), clip_norm=1.0)
value: float = trainer.step(x=np.ones((2, 4, 3)), start=np.zeros((2, 3)))
value, fetched = trainer.step(x=np.ones((2, 4, 3)), start=np.zeros((2, 3)), fetch={"fetched": loss})
print(fetched["fetched"].shape)
print(value + 1.0, program.inference.taps(x=np.ones((2, 4, 3)), start=np.zeros((2, 3))).keys())
