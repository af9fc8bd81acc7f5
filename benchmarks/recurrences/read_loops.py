"""Contender rnngraph with nets that ``rg.read_torch`` reads: loops over steps in torch, as published modules have them.

A step indexes the inputs, updates the state, and appends its output to a list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import machine
import numpy as np
import torch
from workloads import Call

import rnngraph as rg

from .rows import STATES, Row

F = torch.nn.functional


class Loop(torch.nn.Module):
    """Recurrence over a raw input [batch, time, width], step by step."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row
        for name, values in row.parameters().items():
            self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(values)))

    def forward(self, x: Any) -> Any:
        return KINDS[self.row.kind](self, *torch.split(x, list(self.row.widths()), -1)).flatten(2)

    def heads(self, *parts: Any) -> list[Any]:
        return [part.view(*part.shape[:2], self.row.heads, self.row.size) for part in parts]


def _unit(x: Any) -> Any:
    return x / torch.sqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def _gla(loop: Loop, *parts: Any) -> Any:
    q, k, v, g = loop.heads(*parts)
    decay, outputs = F.logsigmoid(g) / 16.0, []
    S = torch.zeros(q.size(0), q.size(2), q.size(3), v.size(3))
    for t in range(q.size(1)):
        S = S * decay[:, t].exp()[..., None] + k[:, t, :, :, None] * v[:, t, :, None]
        outputs.append((q[:, t, :, :, None] * S).sum(-2))
    return torch.stack(outputs, 1)


def _gdn(loop: Loop, *parts: Any) -> Any:
    (q, k, v), (b, g) = loop.heads(*parts[:3]), parts[3:]
    q, k, beta, decay = _unit(q), _unit(k), b.sigmoid(), F.logsigmoid(g) / 4.0
    S, outputs = torch.zeros(q.size(0), q.size(2), q.size(3), v.size(3)), []
    for t in range(q.size(1)):
        S = S * decay[:, t, :, None, None].exp()
        change = (v[:, t] - (S * k[:, t, :, :, None]).sum(-2)) * beta[:, t, :, None]
        S = S + k[:, t].unsqueeze(-1) * change.unsqueeze(-2)
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S))
    return torch.stack(outputs, 1)


def _ssd(loop: Loop, u: Any, dt: Any, log_a: Any, key: Any, query: Any) -> Any:
    dt = F.softplus(dt)
    decay, value = torch.exp(-dt * torch.exp(log_a)), dt[..., None] * loop.heads(u)[0]
    S, outputs = torch.zeros(u.size(0), value.size(2), key.size(2), value.size(3)), []
    for t in range(u.size(1)):
        S = decay[:, t, :, None, None] * S + key[:, t, None, :, None] * value[:, t, :, None]
        outputs.append(torch.einsum("bk,bhkv->bhv", query[:, t], S))
    return torch.stack(outputs, 1)


def _rwkv7(loop: Loop, *parts: Any) -> Any:
    r, w, k, v, a = loop.heads(*parts)
    w, a, kappa = torch.exp(-0.606531 * w.sigmoid()), a.sigmoid(), _unit(k)
    S, outputs = torch.zeros(r.size(0), r.size(2), v.size(3), r.size(3)), []
    for t in range(r.size(1)):
        removed = S @ -kappa[:, t].unsqueeze(-1) @ (kappa[:, t] * a[:, t]).unsqueeze(-2)
        S = S * w[:, t, :, None] + removed + v[:, t].unsqueeze(-1) @ k[:, t].unsqueeze(-2)
        outputs.append((S @ r[:, t].unsqueeze(-1)).squeeze(-1))
    return torch.stack(outputs, 1)


def _mlstm(loop: Loop, *parts: Any) -> Any:
    (q, k, v), (i, f) = loop.heads(*parts[:3]), parts[3:]
    k = k / loop.row.size**0.5
    C = torch.zeros(q.size(0), q.size(2), q.size(3), v.size(3))
    n, m = torch.zeros(q.size(0), q.size(2), q.size(3), 1), torch.zeros(q.size(0), q.size(2), 1, 1)
    outputs = []
    for t in range(q.size(1)):
        q_t, k_t, v_t = (x[:, t].unsqueeze(-1) for x in (q, k, v))
        log_f, log_i = F.logsigmoid(f[:, t, :, None, None]), i[:, t, :, None, None]
        largest = torch.maximum(log_f + m, log_i)
        f_t, i_t, m = torch.exp(log_f + m - largest), torch.exp(log_i - largest), largest
        C = f_t * C + i_t * (k_t @ v_t.transpose(-1, -2))
        n = f_t * n + i_t * k_t
        below = torch.maximum((q_t.transpose(-1, -2) @ n).abs(), torch.exp(-m))
        outputs.append((q_t.transpose(-1, -2) @ C / below)[:, :, 0])
    return torch.stack(outputs, 1)


def _s6(loop: Loop, x: Any, dt: Any, key: Any, query: Any) -> Any:
    """Mamba's selective scan: decays and inputs of all steps before the loop, and one product after it."""
    A, dt = -torch.exp(loop.A_log), F.softplus(dt)
    decay, inputs = torch.exp(dt.unsqueeze(-1) * A), dt.unsqueeze(-1) * key.unsqueeze(2) * x.unsqueeze(-1)
    h, states = torch.zeros(x.size(0), x.size(2), STATES), []
    for t in range(x.size(1)):
        h = decay[:, t] * h + inputs[:, t]
        states.append(h)
    return (torch.stack(states, 1) @ query.unsqueeze(-1)).squeeze(3) + loop.D * x


def _min_gru(loop: Loop, z: Any, c: Any) -> Any:
    z, h, outputs = z.sigmoid(), torch.zeros(c.size(0), c.size(2)), []
    for t in range(c.size(1)):
        h = (1 - z[:, t]) * h + z[:, t] * c[:, t]
        outputs.append(h)
    return torch.stack(outputs, 1)


KINDS: dict[str, Callable[..., Any]] = {
    "GLA": _gla,
    "GDN": _gdn,
    "SSD": _ssd,
    "RWKV-7": _rwkv7,
    "mLSTM": _mlstm,
    "S6": _s6,
    "minGRU": _min_gru,
}
"""Functions of (loop, *parts of its raw input) that return the outputs, by kind of recurrence."""


def has(row: Row) -> bool:
    return row.kind in KINDS


def program(row: Row, **options: Any) -> rg.Program:
    """Return the program of a row's loop, read with open batch and time."""
    net = rg.read_torch(Loop(row).eval(), (torch.zeros(3, 5, sum(row.widths())),))
    return net.program(**options)


def inference(row: Row) -> Call:
    compiled, x = program(row, target=machine.TARGET), row.inputs()
    out = {"y": np.empty((row.batch, row.time, row.channels), np.float32)}
    return lambda: compiled.inference(x=x, out=out)["y"]
