"""torch: its own layers; a user's cell as an eager loop, input half and gates each in one product."""

from __future__ import annotations

import torch
from workloads import Call, Row

import peers

torch.set_num_threads(peers.THREADS)

VERSION = torch.__version__.split("+")[0]

Tensor = torch.Tensor


def inference(row: Row) -> Call | None:
    if row.cell == "own peephole":
        return _without_gradients(Peephole(row), torch.from_numpy(row.time_major()))
    layers = _layers(row)
    return layers and _without_gradients(layers, torch.from_numpy(row.time_major()))


def training(row: Row) -> Call | None:
    model = Peephole(row) if row.cell == "own peephole" else _layers(row)
    return model and _with_gradients(model, torch.from_numpy(row.time_major()))


def compiled_inference(row: Row) -> Call:
    """``torch.compile`` of the user's cell, which takes most of a minute."""
    return _without_gradients(torch.compile(Peephole(row)), torch.from_numpy(row.time_major()))


def compiled_training(row: Row) -> Call:
    return _with_gradients(torch.compile(Peephole(row)), torch.from_numpy(row.time_major()))


def train_step(row: Row) -> Call | None:
    """Gradients, clipped by their norm, and the fused form of Adam."""
    layers, data = _layers(row), torch.from_numpy(row.time_major())
    if layers is None:
        return None
    parameters = list(layers.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def call() -> object:
        optimizer.zero_grad(set_to_none=True)
        loss = layers(data)[0].square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss

    return call


class Peephole(torch.nn.Module):
    """The user's cell over time."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        for name, values in row.weights()[0].items():
            setattr(self, name, torch.nn.Parameter(torch.from_numpy(values)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        given = torch.matmul(x, self.W) + self.b
        h = c = x.new_zeros(x.shape[1], self.U.shape[0])
        p_i, p_f, p_o = self.P
        outputs = []
        for step in given.unbind(0):
            i, j, f, o = torch.addmm(step, h, self.U).chunk(4, 1)
            c = torch.sigmoid(f + p_f * c + 1.0) * c + torch.sigmoid(i + p_i * c) * torch.tanh(j)
            h = torch.sigmoid(o + p_o * c) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), c


def _layers(row: Row) -> torch.nn.Module | None:
    if row.cell not in ("RNN", "LSTM", "GRU"):
        return None
    return getattr(torch.nn, row.cell)(row.inputs, row.units, row.layers)


def _without_gradients(model: torch.nn.Module, data: Tensor) -> Call:
    model.eval()

    def call() -> object:
        with torch.inference_mode():
            return model(data)

    return call


def _with_gradients(model: torch.nn.Module, data: Tensor) -> Call:
    parameters = list(model.parameters())

    def call() -> object:
        loss = model(data)[0].square().mean()
        return loss, torch.autograd.grad(loss, parameters)

    return call
