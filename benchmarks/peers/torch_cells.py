"""Cells without a layer in torch, as a user of torch would write them.

They run over time in a Python loop, with one product for the inputs of all steps, and one product a step for all gates.
The input is [time, batch, width], and results are (outputs, memory c).
"""

from __future__ import annotations

import torch
import weights
from workloads import Row

Tensor = torch.Tensor


class Loop(torch.nn.Module):
    """Base of the cells: one layer, whose weights are parameters with the names of ``weights.drawn``."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        for name, values in weights.drawn(row)[0].items():
            setattr(self, name, torch.nn.Parameter(torch.from_numpy(values)))


class Peephole(Loop):
    """Peephole LSTM as a user of torch would write it."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        projected = torch.matmul(x, self.W) + self.b
        h = c = x.new_zeros(x.shape[1], self.U.shape[0])
        p_i, p_f, p_o = self.P
        outputs = []
        for step in projected.unbind(0):
            i, j, f, o = torch.addmm(step, h, self.U).chunk(4, 1)
            c = torch.sigmoid(f + p_f * c + 1.0) * c + torch.sigmoid(i + p_i * c) * torch.tanh(j)
            h = torch.sigmoid(o + p_o * c) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), c


class LayerNormLSTM(Loop):
    """Layer-norm LSTM: four gates are normalised in one call, each with its own gains and shifts."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        projected, units = torch.matmul(x, self.W), self.U.shape[0]
        h = c = x.new_zeros(x.shape[1], units)
        gain, shift, norm = self.G[:4], self.S[:4], torch.nn.functional.layer_norm
        outputs = []
        for step in projected.unbind(0):
            gates = torch.addmm(step, h, self.U).unflatten(1, (4, units))
            i, j, f, o = torch.addcmul(shift, norm(gates, (units,), eps=1e-12), gain).unbind(1)
            c = torch.sigmoid(f + 1.0) * c + torch.sigmoid(i) * torch.tanh(j)
            c = norm(c, (units,), self.G[4], self.S[4], 1e-12)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), c


LOOPS = {"own peephole": Peephole, "LayerNormBasicLSTM": LayerNormLSTM}
