"""Declares each recurrence over the parts of a raw input, by rnngraph's cells, and two cells as users would write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import rnngraph as rg

from .rows import STATES, Row

Inputs = Any
"""A dict or tuple of Tensors [batch, time, …]."""


def declared(row: Row, x: Any) -> tuple[Any, Inputs]:
    """Return (cell of a workload, the cell's inputs, computed from a raw input x [batch, time, width])."""
    return KINDS[row.kind](row, *rg.split(x, list(row.widths()), 2))


def _heads(row: Row, *parts: Any) -> list[Any]:
    """Reshape parts [batch, time, heads * size] to [batch, time, heads, size]."""
    return [rg.reshape(part, (None, None, row.heads, row.size)) for part in parts]


def _gla(row: Row, *parts: Any) -> tuple[Any, Inputs]:
    q, k, v, g = _heads(row, *parts)
    cell = rg.GatedLinearAttentionCell(row.heads, row.size)
    return cell, {"q": q, "k": k, "v": v, "g": rg.log_sigmoid(g) / 16.0}


def _unit(x: Any) -> Any:
    return x / rg.sqrt(rg.reduce_sum(rg.square(x), 3, keepdims=True) + 1e-6)


def _gdn(row: Row, *parts: Any) -> tuple[Any, Inputs]:
    (q, k, v), (b, g) = _heads(row, *parts[:3]), parts[3:]
    gates = {"beta": rg.sigmoid(b), "g": rg.log_sigmoid(g) / 4.0}
    return rg.GatedDeltaNetCell(row.heads, row.size), {"q": _unit(q), "k": _unit(k), "v": v, **gates}


def _rwkv7(row: Row, *parts: Any) -> tuple[Any, Inputs]:
    r, w, k, v, a = _heads(row, *parts)
    inputs = {"r": r, "w": -0.606531 * rg.sigmoid(w), "k": k, "v": v, "kappa": _unit(k), "a": rg.sigmoid(a)}
    return rg.RWKV7Cell(row.heads, row.size), inputs


def _mlstm(row: Row, *parts: Any) -> tuple[Any, Inputs]:
    inputs = dict(zip("qkv", _heads(row, *parts[:3]), strict=True))
    return rg.MLSTMCell(row.heads, row.size, output_gate=False), {**inputs, "i": parts[3], "f": parts[4]}


def _s6(row: Row, *parts: Any) -> tuple[Any, Inputs]:
    x, dt, key, query = parts
    return rg.S6Cell(row.channels, STATES), {"x": x, "dt": rg.softplus(dt), "B": key, "C": query}


def _min_gru(row: Row, *parts: Any) -> tuple[Any, Inputs]:
    return rg.MinGRUCell(row.channels), {"z": rg.sigmoid(parts[0]), "c": parts[1]}


def _rg_lru(row: Row, *parts: Any) -> tuple[Any, Inputs]:
    lam = rg.parameter("lam", (row.channels,), row.parameters()["lam"])
    gated = {"g": -8.0 * rg.softplus(lam) * rg.sigmoid(parts[0]), "x": rg.sigmoid(parts[1]) * parts[2]}
    return rg.RGLRUCell(row.channels), gated


class SSD(rg.Cell):
    """Mamba-2 with a separate decay at each step."""

    def __init__(self, row: Row) -> None:
        self.row = row

    @property
    def output_size(self) -> int:
        return self.row.channels

    def state(self) -> Any:
        return {"S": rg.memory(self.row.states()[0])}

    def step(self, p: Any, x: Any, state: Any) -> Any:
        shared = (None, 1, self.row.size, 1)
        s = rg.reshape(x["a"], (None, self.row.heads, 1, 1)) * state["S"]
        s = s + rg.reshape(x["key"], shared) * rg.expand_dims(x["value"], 2)
        return rg.reshape(rg.reduce_sum(rg.reshape(x["query"], shared) * s, 2), (None, self.row.channels)), {"S": s}


def _ssd(row: Row, *parts: Any) -> tuple[Any, Inputs]:
    u, dt, log_a, key, query = parts
    dt = rg.softplus(dt)
    inputs = {"a": rg.exp(-dt * rg.exp(log_a)), "value": rg.expand_dims(dt, 3) * _heads(row, u)[0]}
    return SSD(row), {**inputs, "key": key, "query": query}


class LRU(rg.Cell):
    """Linear recurrent unit without input and output weights, with separate real and imaginary parts."""

    def __init__(self, row: Row) -> None:
        self.row = row

    @property
    def output_size(self) -> int:
        return self.row.channels

    def state(self) -> Any:
        return {"real": rg.memory(self.row.channels), "imaginary": rg.memory(self.row.channels)}

    def step(self, p: Any, x: Any, state: Any) -> Any:
        nu, theta = (p.parameter(name, np.shape(start), start) for name, start in self.row.parameters().items())
        size, angle = rg.exp(-rg.exp(nu)), rg.exp(theta)
        a, b, (u, v) = size * rg.cos(angle), size * rg.sin(angle), x
        real, imaginary = state["real"], state["imaginary"]
        real, imaginary = a * real - b * imaginary + u, a * imaginary + b * real + v
        return real + 0.5 * imaginary, {"real": real, "imaginary": imaginary}


def _lru(row: Row, *parts: Any) -> tuple[Any, Inputs]:
    return LRU(row), parts


KINDS: dict[str, Callable[..., tuple[Any, Inputs]]] = {
    "GLA": _gla,
    "GDN": _gdn,
    "SSD": _ssd,
    "RWKV-7": _rwkv7,
    "mLSTM": _mlstm,
    "S6": _s6,
    "minGRU": _min_gru,
    "RG-LRU": _rg_lru,
    "LRU": _lru,
}
