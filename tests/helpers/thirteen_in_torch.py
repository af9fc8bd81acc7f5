"""One step of the thirteen recurrences in torch, over a raw input: ``KIND(x, parameters, states) -> (y, states)``."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from thirteen_recurrences import D, H, N, W

F = torch.nn.functional


def _h(t, *e):
    return t.reshape(t.shape[0], H, *e)


def mingru(x, P, st):
    z, c = x.split(W, 1)
    z = z.sigmoid()
    h = (1 - z) * st[0] + z * c
    return h, (h,)


def minlstm(x, P, st):
    f, i, c = x.split(W, 1)
    f, i = f.sigmoid(), i.sigmoid()
    h = f / (f + i) * st[0] + i / (f + i) * c
    return h, (h,)


def rglru(x, P, st):
    r, i, u = x.split(W, 1)
    loga = -8 * F.softplus(P["lam"]) * r.sigmoid()
    h = loga.exp() * st[0] + (1 - (2 * loga).exp()).sqrt() * (i.sigmoid() * u)
    return h, (h,)


def lru(x, P, st):
    br, bi = x.split(W, 1)
    lam = torch.polar((-P["nu"].exp()).exp(), P["theta"].exp())
    h = lam * torch.complex(st[0], st[1]) + torch.complex(br, bi)
    return h.real + 0.5 * h.imag, (h.real, h.imag)


def s6(x, P, st):
    u, dt, Bm, Cm = x.split([W, W, N, N], 1)
    dt = F.softplus(dt)
    h = (dt[:, :, None] * -P["A_log"].exp()).exp() * st[0] + (dt * u)[:, :, None] * Bm[:, None]
    return (h * Cm[:, None]).sum(2) + P["D"] * u, (h,)


def s6t(x, P, st):
    y, (h,) = s6(x, {"A_log": P["A_log"].T, "D": P["D"]}, (st[0].transpose(1, 2),))
    return y, (h.transpose(1, 2),)


def ssd(x, P, st):
    u, dt, loga, Bm, Cm = x.split([W, H, H, D, D], 1)
    dt = F.softplus(dt)
    a = (-dt * loga.exp()).exp()
    S = _h(a, 1, 1) * st[0] + Bm[:, None, :, None] * (_h(dt, 1, 1) * _h(u, 1, D))
    return (Cm[:, None, :, None] * S).sum(2).reshape(-1, W), (S,)


def ret(x, P, st):
    q, k, v = x.split(W, 1)
    g = torch.tensor(1 - 2.0 ** (-5 - np.arange(H))).to(x).reshape(1, H, 1, 1)
    S = g * st[0] + _h(k, D, 1) * _h(v, 1, D)
    return (_h(q, D, 1) * S).sum(2).reshape(-1, W), (S,)


def gla(x, P, st):
    q, k, v, g = x.split(W, 1)
    a = (-F.softplus(-g) / 16).exp()
    S = _h(a, D, 1) * st[0] + _h(k, D, 1) * _h(v, 1, D)
    return (_h(q, D, 1) * S).sum(2).reshape(-1, W), (S,)


def _unit(k):
    return k / (k.square().sum(2, keepdim=True) + 1e-6).sqrt()


def gdn(x, P, st):
    q, k, v, b, g = x.split([W, W, W, H, H], 1)
    q, k, v = _unit(_h(q, D, 1)), _unit(_h(k, D, 1)), _h(v, 1, D)
    b, a = _h(b.sigmoid(), 1, 1), _h((-F.softplus(-g) / 4).exp(), 1, 1)
    S = a * st[0]
    S = S + k * (b * (v - (k * S).sum(2, keepdim=True)))
    return (q * S).sum(2).reshape(-1, W), (S,)


def rwkv7(x, P, st):
    r, w, k, v, a = x.split(W, 1)
    w = (-0.606531 * w.sigmoid()).exp()
    a = a.sigmoid()
    r, w, k, a, v = _h(r, D, 1), _h(w, D, 1), _h(k, D, 1), _h(a, D, 1), _h(v, 1, D)
    kk = _unit(k)
    S = w * st[0] - (kk * a) * (kk * st[0]).sum(2, keepdim=True) + k * v
    return (r * S).sum(2).reshape(-1, W), (S,)


def mlstm(x, P, st):
    q, k, v, i, f = x.split([W, W, W, H, H], 1)
    q, k, v = _h(q, D, 1), _h(k, D, 1) * D**-0.5, _h(v, 1, D)
    C, n, m = st
    lf = -F.softplus(-f)
    new = torch.maximum(lf + m, i)
    fp, ip = _h((lf + m - new).exp(), 1, 1), _h((i - new).exp(), 1, 1)
    C = fp * C + ip * (k * v)
    n = fp * n + ip * k
    den = torch.maximum((q * n).sum(2, keepdim=True).abs(), _h((-new).exp(), 1, 1))
    return ((q * C).sum(2, keepdim=True) / den).reshape(-1, W), (C, n, new)


def slstm(x, P, st):
    h, c, n, m = st
    rec = torch.einsum("bhd,hde->bhe", h.reshape(-1, H, D), P["recurrent_kernel"])
    z, i, f, o = (t.reshape(-1, W) for t in (x.reshape(-1, H, 4 * D) + rec).split(D, 2))
    lf = -F.softplus(-f)
    new = torch.maximum(lf + m, i)
    fp, ip = (lf + m - new).exp(), (i - new).exp()
    c = fp * c + ip * z.tanh()
    n = fp * n + ip
    h = o.sigmoid() * c / n.clamp(min=1e-6)
    return h, (h, c, n, new)


STEPS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "minGRU": (mingru, [(W,)]),
    "minLSTM": (minlstm, [(W,)]),
    "RG-LRU": (rglru, [(W,)]),
    "LRU": (lru, [(W,), (W,)]),
    "S6": (s6, [(W, N)]),
    "S6t": (s6t, [(N, W)]),
    "SSD": (ssd, [(H, D, D)]),
    "RetNet": (ret, [(H, D, D)]),
    "GLA": (gla, [(H, D, D)]),
    "GDN": (gdn, [(H, D, D)]),
    "RWKV7": (rwkv7, [(H, D, D)]),
    "mLSTM": (mlstm, [(H, D, D), (H, D, 1), (H,)]),
    "sLSTM": (slstm, [(W,)] * 4),
}
"""Step and shapes of the states, by name."""


def outputs_of(name: str, x: torch.Tensor, parameters: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the outputs [batch, time, W] over a raw input, step by step."""
    step, shapes = STEPS[name]
    states, outputs = tuple(x.new_zeros((x.shape[0], *shape)) for shape in shapes), []
    for now in range(x.shape[1]):
        y, states = step(x[:, now], parameters, states)
        outputs.append(y)
    return torch.stack(outputs, 1)
