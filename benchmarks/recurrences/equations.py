"""Defines the recurrences as their papers do, step by step in float64, with NumPy or torch.

``m`` is the module ``numpy`` or ``torch``: the functions used here have the same names and arguments in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .rows import Row

Step = Callable[[Any, Row, list[Any], Any, Mapping[str, Any]], tuple[Any, tuple[Any, ...]]]
"""Function of (module, row, parts of an input, states, parameters) that returns (output, next states)."""


def run(m: Any, row: Row, x: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the outputs [batch, time, channels] of raw inputs [batch, time, width], both float64."""
    states = tuple(m.zeros((x.shape[0], *shape), dtype=m.float64) for shape in row.states())
    outputs = []
    for t in range(x.shape[1]):
        split, start = [], 0
        for width in row.widths():
            split.append(x[:, t, start : start + width])
            start += width
        output, states = STEPS[row.kind](m, row, split, states, parameters)
        outputs.append(output.reshape(x.shape[0], row.channels))
    return m.stack(outputs, 1)


def _heads(row: Row, *parts: Any) -> list[Any]:
    return [part.reshape(part.shape[0], row.heads, -1) for part in parts]


def _softplus(m: Any, x: Any) -> Any:
    return m.logaddexp(x, m.zeros_like(x))


def _sigmoid(m: Any, x: Any) -> Any:
    return 1 / (1 + m.exp(-x))


def _unit(m: Any, x: Any) -> Any:
    return x / m.sqrt((x * x).sum(-1, keepdims=True) + 1e-6)


def _outer(k: Any, v: Any) -> Any:
    return k[..., :, None] * v[..., None, :]


def _read(q: Any, s: Any) -> Any:
    """Return the product of rows q [batch, heads, keys] with matrices [batch, heads, keys, values]."""
    return (q[..., None] * s).sum(-2)


def gla(m: Any, row: Row, parts: list[Any], states: Any, _: Any) -> Any:
    """Gated linear attention (Yang et al. 2023): S = diag(a) S + k v^T."""
    q, k, v, g = _heads(row, *parts)
    s = m.exp(-_softplus(m, -g) / 16)[..., None] * states[0] + _outer(k, v)
    return _read(q, s), (s,)


def gdn(m: Any, row: Row, parts: list[Any], states: Any, _: Any) -> Any:
    """Gated DeltaNet (Yang et al. 2024): S = a (I - b k k^T) S + b k v^T."""
    q, k, v, b, g = _heads(row, *parts)
    q, k, b = _unit(m, q), _unit(m, k), _sigmoid(m, b)
    s = m.exp(-_softplus(m, -g) / 4)[..., None] * states[0]
    s = s + _outer(k, b * (v - _read(k, s)))
    return _read(q, s), (s,)


def ssd(m: Any, row: Row, parts: list[Any], states: Any, _: Any) -> Any:
    """Mamba-2 (Dao and Gu 2024): S = a S + B (dt u)^T, with B and C of all heads."""
    u, dt, log_a = _heads(row, *parts[:3])
    b, c = (part[:, None] for part in parts[3:])
    dt = _softplus(m, dt)
    s = m.exp(-dt * m.exp(log_a))[..., None] * states[0] + _outer(b, dt * u)
    return _read(c, s), (s,)


def rwkv7(m: Any, row: Row, parts: list[Any], states: Any, _: Any) -> Any:
    """RWKV-7 (Peng et al. 2025): S = (diag(w) - (a n) n^T) S + k v^T, n the normalized key."""
    r, w, k, v, a = _heads(row, *parts)
    w, a, n = m.exp(-0.606531 * _sigmoid(m, w)), _sigmoid(m, a), _unit(m, k)
    s = w[..., None] * states[0] - _outer(n * a, _read(n, states[0])) + _outer(k, v)
    return _read(r, s), (s,)


def mlstm(m: Any, row: Row, parts: list[Any], states: Any, _: Any) -> Any:
    """The xLSTM's matrix memory (Beck et al. 2024), stabilized by the running maximum of its gates' logarithms."""
    q, k, v = _heads(row, *parts[:3])
    i, f = parts[3:]
    c, n, highest = states
    k = k * row.size**-0.5
    log_f = -_softplus(m, -f)
    new = m.maximum(log_f + highest, i)
    keep, add = m.exp(log_f + highest - new)[..., None], m.exp(i - new)[..., None]
    c = keep[..., None] * c + add[..., None] * _outer(k, v)
    n = keep * n + add * k
    below = m.maximum(m.abs((q * n).sum(-1)), m.exp(-new))
    return _read(q, c) / below[..., None], (c, n, new)


def s6(m: Any, row: Row, parts: list[Any], states: Any, p: Mapping[str, Any]) -> Any:
    """Mamba (Gu and Dao 2023): h = exp(dt A) h + dt u B, y = C h + D u."""
    u, dt, b, c = parts
    dt = _softplus(m, dt)
    h = m.exp(dt[..., None] * -m.exp(p["A_log"])) * states[0] + (dt * u)[..., None] * b[:, None]
    return (h * c[:, None]).sum(-1) + p["D"] * u, (h,)


def min_gru(m: Any, row: Row, parts: list[Any], states: Any, _: Any) -> Any:
    """MinGRU (Feng et al. 2024): h = (1 - z) h + z c."""
    z = _sigmoid(m, parts[0])
    h = (1 - z) * states[0] + z * parts[1]
    return h, (h,)


def rg_lru(m: Any, row: Row, parts: list[Any], states: Any, p: Mapping[str, Any]) -> Any:
    """The gated LRU of Griffin (De et al. 2024): h = a h + sqrt(1 - a²) i u."""
    r, i, u = parts
    log_a = -8 * _softplus(m, p["lam"]) * _sigmoid(m, r)
    h = m.exp(log_a) * states[0] + m.sqrt(1 - m.exp(2 * log_a)) * (_sigmoid(m, i) * u)
    return h, (h,)


def lru(m: Any, row: Row, parts: list[Any], states: Any, p: Mapping[str, Any]) -> Any:
    """LRU (Orvieto et al. 2023): a complex diagonal, as real and imaginary parts."""
    size, angle = m.exp(-m.exp(p["nu"])), m.exp(p["theta"])
    real, imaginary = size * m.cos(angle), size * m.sin(angle)
    x, y = states
    x, y = real * x - imaginary * y + parts[0], real * y + imaginary * x + parts[1]
    return x + 0.5 * y, (x, y)


STEPS: dict[str, Step] = {
    "GLA": gla,
    "GDN": gdn,
    "SSD": ssd,
    "RWKV-7": rwkv7,
    "mLSTM": mlstm,
    "S6": s6,
    "minGRU": min_gru,
    "RG-LRU": rg_lru,
    "LRU": lru,
}
