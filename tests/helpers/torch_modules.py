"""Small modules of torch around recurrent layers, with inputs and their open axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as f

BT, BCT, B = {0: "batch", 1: "time"}, {0: "batch", 2: "time"}, {0: "batch"}
ACTIVATIONS = (
    f.gelu,
    f.silu,
    f.elu,
    f.hardtanh,
    f.softplus,
    f.mish,
    f.hardswish,
    f.selu,
    f.leaky_relu,
    f.logsigmoid,
    f.relu6,
    f.hardsigmoid,
    f.softsign,
    f.celu,
)


@dataclass
class Case:
    """Module with ``forward``, a function of the module and its inputs, and ``inputs``, each with its symbolic axes."""

    name: str
    forward: Callable[..., Any]
    inputs: list[tuple[torch.Tensor, dict[int, str]]]
    parts: dict[str, nn.Module] = field(default_factory=dict)

    def module(self) -> nn.Module:
        return _Module(self.forward, self.parts).eval()


class _Module(nn.Module):
    def __init__(self, function: Callable[..., Any], parts: dict[str, nn.Module]) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self, *inputs)


def cases() -> list[Case]:
    """Return all cases. Every call returns modules with the same weights."""
    torch.manual_seed(0)
    return [*_layers(), *_recurrent(), *_others()]


def _layers() -> list[Case]:
    """Return single layers, and layers with states as inputs and outputs."""
    results, x = [], (torch.randn(2, 3, 5), BT)
    shapes = ((1, False, True), (2, False, True), (3, True, True), (2, True, False), (1, True, True))
    for kind in ("LSTM", "GRU", "RNN"):
        for layers, bidirectional, first in shapes:
            net = getattr(nn, kind)(5, 7, layers, batch_first=first, bidirectional=bidirectional)
            name = f"{layers} {kind}{', both ways' * bidirectional}{', batches first' * first}"
            results.append(Case(name, lambda s, x: s.l(x)[0], [x], {"l": net}))
            state = (torch.randn(layers * (1 + bidirectional), 2 if first else 3, 7), {1: "batch" if first else "time"})
            states = [state, state] if kind == "LSTM" else [state]
            results.append(Case(f"{name}, states", _with_states, [x, *states], {"l": net}))
    return results


def _with_states(s: Any, x: Any, *states: Any) -> Any:
    outputs, final = s.l(x, states if len(states) > 1 else states[0])
    return (outputs, *(final if isinstance(final, tuple) else (final,)))


def _packed(is_sorted: bool) -> Callable[..., Any]:
    def forward(s: Any, x: Any, n: Any) -> Any:
        inputs = nn.utils.rnn.pack_padded_sequence(x, n, batch_first=True, enforce_sorted=is_sorted)
        return nn.utils.rnn.pad_packed_sequence(s.l(inputs)[0], batch_first=True)[0]

    return forward


def _recurrent() -> list[Case]:
    x, lengths = (torch.randn(2, 3, 5), BT), (torch.tensor([3, 2]), B)
    gru, lstm = nn.GRU(5, 7, batch_first=True), nn.LSTM(5, 7, 2, batch_first=True, dropout=0.5)
    head, two = nn.Linear(7, 3), nn.LSTM(5, 7, 2, batch_first=True, bidirectional=True)

    def learned(s: Any, x: Any) -> Any:
        return s.l(x, s.o.weight[:1, None].expand(-1, x.size(0), -1).contiguous())[0]

    def mean_over_lengths(s: Any, x: Any, n: Any) -> Any:
        there = (torch.arange(x.size(1))[None] < n[:, None]).float()
        return (s.l(x)[0] * there[..., None]).sum(1) / n[:, None].float()

    def normed(s: Any, x: Any) -> Any:
        return s.n(s.l((x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5))[0])

    def attention(s: Any, x: Any) -> Any:
        h = s.l(x)[0]
        return (torch.softmax(s.a(torch.tanh(s.w(h))).squeeze(-1), 1)[..., None] * h).sum(1)

    def scores(s: Any, x: Any) -> Any:
        h = s.l(x)[0]
        return torch.softmax(s.w(h) @ h.transpose(1, 2) / 7**0.5, -1) @ h

    def context(s: Any, x: Any, z: Any) -> Any:
        return torch.cat([s.l(x)[0], z[:, None].expand(-1, x.size(1), -1)], -1)

    def rows(s: Any, x: Any) -> Any:
        return s.o(s.l(x)[0].reshape(-1, 7)).view(x.size(0), x.size(1), 3)

    def summed(s: Any, x: Any) -> Any:
        return s.l(x)[0].view(x.size(0), x.size(1), 2, -1).sum(2)

    two_gru = nn.GRU(5, 7, 2, batch_first=True, bidirectional=True)
    small, other = (torch.randn(2, 4), B), (torch.randn(2, 4, 4), {0: "batch", 1: "out"})
    decoder = nn.GRU(4, 7, batch_first=True)
    return [
        Case("packed", _packed(False), [x, lengths], {"l": nn.LSTM(5, 7, batch_first=True)}),
        Case("packed, sorted", _packed(True), [x, lengths], {"l": two_gru}),
        Case("last step", lambda s, x: s.o(s.l(x)[0][:, -1]), [x], {"l": gru, "o": head}),
        Case("final states", lambda s, x: torch.cat([*s.l(x)[1][0][-2:]], -1), [x], {"l": two}),
        Case("rows", rows, [x], {"l": lstm, "o": head}),
        Case("sum of directions", summed, [x], {"l": two}),
        Case("zeros by size", lambda s, x: s.l(x, (torch.zeros(2, x.size(0), 7),) * 2)[0], [x], {"l": lstm}),
        Case("learned state", learned, [x], {"l": gru, "o": head}),
        Case("flip", lambda s, x: s.l(x.flip(1))[0].flip(1), [x], {"l": gru}),
        Case("mean over lengths", mean_over_lengths, [x, lengths], {"l": gru}),
        Case("normed", normed, [x], {"l": gru, "n": nn.LayerNorm(7)}),
        Case("attention", attention, [x], {"l": gru, "w": nn.Linear(7, 6), "a": nn.Linear(6, 1)}),
        Case("scores", scores, [x], {"l": gru, "w": nn.Linear(7, 7)}),
        Case("context", context, [x, small], {"l": gru}),
        Case("two nets", lambda s, x, y: s.d(y, s.l(x)[1])[0], [x, other], {"l": gru, "d": decoder}),
    ]


def _others() -> list[Case]:
    x, wide = (torch.randn(2, 3, 5), BT), (torch.randn(2, 5, 9), BCT)
    ids, heads = (torch.ones(2, 3).long(), BT), (torch.randn(2, 3, 8), B)
    gru = nn.GRU(5, 7, batch_first=True)
    strided, dilated = nn.Conv1d(5, 6, 5, stride=2, padding=2), nn.Conv1d(6, 8, 3, dilation=2)
    images = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d((1, 2)),
        nn.Conv2d(4, 6, 3, padding=1, stride=(2, 1)),
        nn.MaxPool2d(2),
    )

    def convolved(s: Any, x: Any) -> Any:
        return s.l(s.b(torch.relu(s.d(f.pad(torch.relu(s.c(x)), (4, 0))))).transpose(1, 2))[0]

    def pools(s: Any, x: Any) -> Any:
        return torch.cat([s.p(s.c(x)), s.q(s.c(x)), s.p(s.i(x))[:, :, :3], s.g(s.c(x))[:, :, :3]], 1)

    parts = {"c": nn.Conv1d(5, 6, 3), "p": nn.MaxPool1d(2), "q": nn.AvgPool1d(2), "i": nn.InstanceNorm1d(5)}
    return [
        Case("embedding", lambda s, i: s.l(s.e(i))[0], [ids], {"e": nn.Embedding(11, 5), "l": gru}),
        Case(
            "positions",
            lambda s, x: s.l(x + s.e(torch.arange(x.size(1))))[0],
            [x],
            {"e": nn.Embedding(20, 5), "l": gru},
        ),
        Case(
            "heads",
            lambda s, x: s.a(x, x, x, need_weights=False)[0],
            [heads],
            {"a": nn.MultiheadAttention(8, 2, batch_first=True)},
        ),
        Case(
            "convolutions",
            convolved,
            [wide],
            {"c": strided, "d": dilated, "b": nn.BatchNorm1d(8), "l": nn.GRU(8, 7, batch_first=True)},
        ),
        Case("pools", pools, [(torch.randn(2, 5, 9), B)], parts | {"g": nn.GroupNorm(2, 6)}),
        Case(
            "images",
            lambda s, x: s.l(s.c(x[:, None]).transpose(1, 2).flatten(2))[0],
            [(torch.randn(2, 9, 8), BT)],
            {"c": images, "l": nn.GRU(12, 7, batch_first=True)},
        ),
        Case("activations", lambda s, x: sum(function(x) for function in ACTIVATIONS), [x]),
    ]
