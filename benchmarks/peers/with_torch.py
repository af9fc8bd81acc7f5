"""torch: ``nn.LSTM`` and similar layers; cells for which torch has no layer run as an eager loop."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
import weights
from workloads import Call, Row

import peers
from peers.torch_cells import LOOPS

warnings.filterwarnings("ignore", "LSTM with projections")  # torch has no faster form of projections
torch.set_num_threads(peers.THREADS)

VERSION = torch.__version__.split("+")[0]

Tensor = torch.Tensor

LAYERS = ("RNN", "LSTM", "GRU")
FORGET_BIAS = 1.0
"""Forget bias, which rnngraph's cells add at run time. For torch's layers, it is part of the bias."""


def inference(row: Row) -> list[Call]:
    return [_without_gradients(model, row) for model in _models(row)]


def training(row: Row) -> list[Call]:
    return [_with_gradients(model, row) for model in _models(row)]


def one_step(row: Row) -> list[Call]:
    """Return two variants of a step: a layer over one step, and torch's cell for single steps."""
    if row.cell not in LAYERS or row.bidirectional or row.ended:
        return []
    layer, x = _layers(row).eval(), torch.from_numpy(row.time_major())
    variants = [_carrying(layer, x)]
    if row.layers == 1 and not row.projection:
        cell = getattr(torch.nn, f"{row.cell}Cell")(row.inputs, row.units).eval()
        cell.load_state_dict({name.removesuffix("_l0"): values for name, values in layer.state_dict().items()})
        variants.append(_carrying(cell, x[0]))
    return variants


def matrices(left: np.ndarray, right: np.ndarray, turned: bool) -> Call:
    """Return a call of ``torch.matmul``, with the right operand transposed if ``turned``."""
    a, b = torch.from_numpy(left), torch.from_numpy(right)
    out = torch.empty((*left.shape[:2], right.shape[1 if turned else 2]))
    return lambda: torch.bmm(a, b.transpose(1, 2) if turned else b, out=out)


def convolution(row: Any, x: np.ndarray, kernel: np.ndarray) -> Call:
    """Return a call of ``conv1d`` on [batch, inputs, time], torch's layout, with a result in rnngraph's layout."""
    steps = -(-row.time // row.strides)
    missing = max((steps - 1) * row.strides + row.size - row.time, 0)
    channels_first = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 1)))
    weights_of = torch.from_numpy(np.ascontiguousarray(kernel.transpose(2, 1, 0))).requires_grad_(row.training)

    def run() -> Tensor:
        padded = torch.nn.functional.pad(channels_first, (missing // 2, missing - missing // 2))
        return torch.nn.functional.conv1d(padded, weights_of, stride=row.strides, groups=row.groups)

    def forward() -> object:
        with torch.inference_mode():
            return run().numpy().transpose(0, 2, 1)

    def with_gradients() -> object:
        (gradient,) = torch.autograd.grad(run().square().sum(), [weights_of])
        return gradient.numpy().transpose(2, 1, 0)

    return with_gradients if row.training else forward


def outputs(row: Row, result: Any) -> np.ndarray:
    joined = result[0].detach().numpy()
    return joined[None] if joined.ndim == 2 else joined


def learnt(row: Row, result: Any) -> tuple[float, list[np.ndarray]]:
    value, gradients = result
    return value.item(), [g.numpy() for name, g in gradients.items() if not _is_bias(name)]


def _is_bias(name: str) -> bool:
    """True for ``bias_ih_l0`` of a layer, ``b`` of a loop, ``_orig_mod.b`` of a compiled one."""
    return "bias" in name or name.rsplit(".", 1)[-1] == "b"


def compiled(row: Row, kind: str) -> list[Call]:
    """Return the calls of a loop under ``torch.compile``, whose compilation takes most of a minute."""
    if row.cell not in LOOPS:
        return []
    model = torch.compile(LOOPS[row.cell](row))
    return [{"inference": _without_gradients, "training": _with_gradients}[kind](model, row)]


def train_step(row: Row) -> Call:
    """Return a training step: gradients, clipped by their norm, and fused Adam."""
    layers, data = _layers(row), torch.from_numpy(row.time_major())
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


class Packed(torch.nn.Module):
    """Layers over rows of different lengths, which are packed before the layers and padded with zeros after them."""

    def __init__(self, layers: torch.nn.Module, row: Row) -> None:
        super().__init__()
        self.layers, self.lengths, self.time = layers, torch.from_numpy(row.lengths()), row.time

    def forward(self, x: Tensor) -> tuple[Tensor]:
        rnn = torch.nn.utils.rnn
        packed, _ = self.layers(rnn.pack_padded_sequence(x, self.lengths, enforce_sorted=False))
        return (rnn.pad_packed_sequence(packed, total_length=self.time)[0],)


class Masked(torch.nn.Module):
    """Layers over all steps of all rows, whose outputs are then masked. This is correct for forward layers only."""

    def __init__(self, layers: torch.nn.Module, row: Row) -> None:
        super().__init__()
        running = np.arange(row.time)[:, None] < row.lengths()
        self.layers, self.running = layers, torch.from_numpy(running[..., None].astype(np.float32))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.layers(x)[0] * self.running,)


def _models(row: Row) -> list[torch.nn.Module]:
    """Return variants of a module with input [time, batch, width], whose first result is the outputs."""
    if row.cell in LOOPS:
        return [LOOPS[row.cell](row)]
    if row.cell not in LAYERS:
        return []
    layers = _layers(row)
    if row.ended:
        return [Packed(layers, row), *([] if row.bidirectional else [Masked(layers, row)])]
    return [layers]


def _layers(row: Row) -> torch.nn.Module:
    options = {"proj_size": row.projection} if row.projection else {}
    layers = getattr(torch.nn, row.cell)(row.inputs, row.units, row.layers, bidirectional=row.bidirectional, **options)
    for number, cell in enumerate(weights.drawn(row)):
        suffix = f"l{number // row.directions}{'_reverse' * (number % row.directions)}"
        for name, values in _parameters(row, cell).items():
            getattr(layers, f"{name}_{suffix}").data[:] = torch.from_numpy(values)
    return layers


def _parameters(row: Row, cell: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a cell's weights in torch's layout, with gates as rows, and an LSTM's gates in the order i, f, j, o.

    Two biases count as their sum, except for the one inside a GRU's reset.
    """
    arrays = {"weight_ih": cell["W"], "weight_hh": cell["U"], "bias_ih": cell["b"], "bias_hh": 0 * cell["b"]}
    match row.cell:
        case "LSTM":
            i, j, f, o = np.split(np.arange(4 * row.units), 4)
            arrays = {name: values[..., np.concatenate([i, f, j, o])] for name, values in arrays.items()}
            arrays["bias_ih"][row.units : 2 * row.units] += FORGET_BIAS
        case "GRU":
            arrays["bias_hh"][2 * row.units :] = cell["c"]
    if row.projection:
        arrays["weight_hr"] = cell["R"]
    return {name: values.T for name, values in arrays.items()}


def _without_gradients(model: torch.nn.Module, row: Row) -> Call:
    data = torch.from_numpy(row.time_major())
    model.eval()

    def call() -> object:
        with torch.inference_mode():
            return model(data)

    return call


def _with_gradients(model: torch.nn.Module, row: Row) -> Call:
    data, names = torch.from_numpy(row.time_major()), [name for name, _ in model.named_parameters()]
    parameters = list(model.parameters())

    def call() -> object:
        loss = model(data)[0].square().mean()
        return loss, dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))

    return call


def _carrying(model: torch.nn.Module, x: Tensor) -> Call:
    """Return a function that runs one step of a layer or cell. Each call starts from the state of the previous one."""
    state, is_layer = None, x.ndim == 3

    def call() -> object:
        nonlocal state
        with torch.inference_mode():
            if is_layer:
                output, state = model(x, state)
                return (output,)
            state = model(x, state)
            return state if isinstance(state, tuple) else (state,)

    return call
