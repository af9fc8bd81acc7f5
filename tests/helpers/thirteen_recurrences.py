"""Thirteen recurrences of 2024 to 2026 in few lines: nine built-in cells and four short user-defined cells.

``KINDS`` has a function for each, which returns the cell and the cell's inputs from the parts of a raw input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rnngraph as rg

H, D, N = 4, 8, 6  # heads, width of a head, states of a channel
W = H * D
HEADS = (H, D)


class Own(rg.Cell):
    """Cell whose input has several parts. Its equations, ``rule``, return (output, *new states)."""

    output_size = W

    def __init__(self, **states: Any) -> None:
        self.states = states

    def state(self) -> Any:
        return self.states

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        y, *new = self.rule(p, *x, *state.values())
        return rg.reshape(y, (None, W)), dict(zip(state, new, strict=True))

    def rule(self, p: Any, *parts: Any) -> Any:
        raise NotImplementedError


class LRU(Own):
    def rule(self, p, u, v, re, im):  # type: ignore[no-untyped-def]
        size, angle = rg.exp(-rg.exp(p.parameter("nu", (W,), -2.5))), rg.exp(p.parameter("theta", (W,), -1.0))
        a, b = size * rg.cos(angle), size * rg.sin(angle)
        re, im = a * re - b * im + u, a * im + b * re + v
        return re + 0.5 * im, re, im


class S6T(Own):
    def rule(self, p, x, dt, B, C, h):  # type: ignore[no-untyped-def]
        A = -rg.exp(p.parameter("A_log", (N, W), 0.5))
        h = rg.exp(dt[:, None] * A) * h + rg.einsum("bn,bw->bnw", B, dt * x)
        return rg.einsum("bn,bnw->bw", C, h) + p.parameter("D", (W,), "ones") * x, h


class SSD(Own):
    def rule(self, p, u, a, B, C, S):  # type: ignore[no-untyped-def]
        S = a[..., None, None] * S + rg.einsum("bk,bhv->bhkv", B, u)
        return rg.einsum("bk,bhkv->bhv", C, S), S


class RetNet(Own):
    def rule(self, p, q, k, v, S):  # type: ignore[no-untyped-def]
        decay = (1 - 2.0 ** (-5 - np.arange(H))).astype("float32").reshape(H, 1, 1)
        S = decay * S + rg.einsum("bhk,bhv->bhkv", k, v)
        return rg.einsum("bhk,bhkv->bhv", q, S), S


def heads(*parts: Any) -> list[Any]:
    return [rg.reshape(x, (None, None, *HEADS)) for x in parts]


def unit(x: Any) -> Any:
    return x * rg.rsqrt(rg.reduce_sum(rg.square(x), 3, keepdims=True) + 1e-6)


def rg_lru(r: Any, i: Any, u: Any) -> Any:
    return rg.RGLRUCell(W), (-8 * rg.softplus(rg.parameter("lam", (W,), 0.3)) * rg.sigmoid(r), rg.sigmoid(i) * u)


def ssd(u: Any, dt: Any, log_a: Any, B: Any, C: Any) -> Any:
    dt = rg.softplus(dt)
    return SSD(S=rg.memory((H, D, D))), (dt[..., None] * heads(u)[0], rg.exp(-dt * rg.exp(log_a)), B, C)


def gdn(q: Any, k: Any, v: Any, b: Any, g: Any) -> Any:
    q, k, v = heads(q, k, v)
    return rg.GatedDeltaNetCell(*HEADS), (unit(q), unit(k), v, rg.sigmoid(b), rg.log_sigmoid(g) / 4)


def rwkv7(r: Any, w: Any, k: Any, v: Any, a: Any) -> Any:
    r, w, k, v, a = heads(r, -0.606531 * rg.sigmoid(w), k, v, rg.sigmoid(a))
    return rg.RWKV7Cell(*HEADS), (r, w, k, v, unit(k), a)


KINDS: dict[str, tuple[list[int], Any]] = {
    "minGRU": ([W, W], lambda z, c: (rg.MinGRUCell(W), (rg.sigmoid(z), c))),
    "minLSTM": ([W, W, W], lambda f, i, c: (rg.MinLSTMCell(W), (rg.sigmoid(f), rg.sigmoid(i), c))),
    "RG-LRU": ([W, W, W], rg_lru),
    "LRU": ([W, W], lambda *x: (LRU(re=W, im=W), x)),
    "S6": ([W, W, N, N], lambda x, dt, B, C: (rg.S6Cell(W, N), (x, rg.softplus(dt), B, C))),
    "S6t": ([W, W, N, N], lambda x, dt, B, C: (S6T(h=rg.memory((N, W))), (x, rg.softplus(dt), B, C))),
    "SSD": ([W, H, H, D, D], ssd),
    "RetNet": ([W] * 3, lambda *x: (RetNet(S=rg.memory((H, D, D))), heads(*x))),
    "GLA": ([W] * 4, lambda *x: (rg.GatedLinearAttentionCell(*HEADS), heads(*x[:3], rg.log_sigmoid(x[3]) / 16))),
    "GDN": ([W, W, W, H, H], gdn),
    "RWKV7": ([W] * 5, rwkv7),
    "mLSTM": (
        [W, W, W, H, H],
        lambda q, k, v, i, f: (rg.MLSTMCell(*HEADS, output_gate=False), (*heads(q, k, v), i, f)),
    ),
    "sLSTM": ([4 * W], lambda x: (rg.SLSTMCell(*HEADS), rg.split(rg.reshape(x, (None, None, H, 4 * D)), 4, 3))),
}
"""Widths of the parts of a raw input [batch, time, width], and the function, by name."""


def outputs_of(name: str, x: Any) -> Any:
    """Return the outputs [batch, time, W] over a raw input."""
    widths, declared = KINDS[name]
    cell, inputs = declared(*rg.split(x, widths, 2))
    return rg.dynamic_rnn(cell, tuple(inputs) if len(inputs) > 1 else inputs)[0]
