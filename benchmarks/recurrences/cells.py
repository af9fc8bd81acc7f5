"""The recurrences as cells that a user of rnngraph writes; matrix states are kept flat and reshaped in the step."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

import rnngraph as rg

from .rows import STATES, Row


class Recurrence(rg.Cell):
    """A cell over the raw inputs of a row; a subclass defines ``rule``."""

    names: tuple[str, ...] = ("S",)

    def __init__(self, row: Row) -> None:
        self.row, self.heads, self.size, self.channels = row, row.heads, row.size, row.channels

    @property
    def output_size(self) -> int:
        return self.channels

    def state(self) -> Any:
        return {name: rg.memory(prod(shape)) for name, shape in zip(self.names, self.row.states(), strict=True)}

    def step(self, p: Any, x: Any, state: Any) -> Any:
        states = [
            rg.reshape(state[name], (None, *shape)) for name, shape in zip(self.names, self.row.states(), strict=True)
        ]
        output, states = self.rule(p, states, *rg.split(x, list(self.row.widths()), 1))
        flat = {
            name: rg.reshape(new, (None, prod(shape)))
            for name, new, shape in zip(self.names, states, self.row.states(), strict=True)
        }
        return rg.reshape(output, (None, self.channels)), flat

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        """Return the output and the next states."""
        raise NotImplementedError

    def keys(self, *parts: Any) -> list[Any]:
        """Shape parts as [batch, heads, keys, 1]."""
        return [rg.reshape(part, (None, self.heads, self.size, 1)) for part in parts]

    def values(self, part: Any) -> Any:
        """Shape a part as [batch, heads, 1, values]."""
        return rg.reshape(part, (None, self.heads, 1, self.size))

    def gates(self, *parts: Any) -> list[Any]:
        """Shape parts as [batch, heads, 1, 1]."""
        return [rg.reshape(part, (None, self.heads, 1, 1)) for part in parts]

    def parameter(self, p: Any, name: str) -> Any:
        values = self.row.parameters()[name]
        return p.parameter(name, values.shape, lambda shape, generator: np.array(values))


def _unit(x: Any) -> Any:
    return x / rg.sqrt(rg.reduce_sum(rg.square(x), 2, keepdims=True) + 1e-6)


def _read(q: Any, s: Any) -> Any:
    return rg.reduce_sum(q * s, 2, keepdims=True)


class GLA(Recurrence):
    """Gated linear attention."""

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        q, k, g = self.keys(parts[0], parts[1], parts[3])
        s = rg.exp(-rg.softplus(-g) / 16.0) * states[0] + k * self.values(parts[2])
        return _read(q, s), [s]


class GDN(Recurrence):
    """Gated DeltaNet."""

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        q, k = map(_unit, self.keys(*parts[:2]))
        b, a = self.gates(rg.sigmoid(parts[3]), rg.exp(-rg.softplus(-parts[4]) / 4.0))
        s = a * states[0]
        s = s + k * (b * (self.values(parts[2]) - _read(k, s)))
        return _read(q, s), [s]


class SSD(Recurrence):
    """Mamba-2."""

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        u, dt, log_a, key, query = parts
        dt = rg.softplus(dt)
        dt, a = self.gates(dt, rg.exp(-dt * rg.exp(log_a)))
        key, query = (rg.reshape(part, (None, 1, self.size, 1)) for part in (key, query))
        s = a * states[0] + key * (dt * self.values(u))
        return _read(query, s), [s]


class RWKV7(Recurrence):
    """RWKV-7."""

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        r, w, k, v, a = parts
        r, w, k, a = self.keys(r, rg.exp(-0.606531 * rg.sigmoid(w)), k, rg.sigmoid(a))
        n = _unit(k)
        s = w * states[0] - (n * a) * _read(n, states[0]) + k * self.values(v)
        return _read(r, s), [s]


class MLSTM(Recurrence):
    """The xLSTM's matrix memory, its normalizer, and the running maximum."""

    names = ("C", "n", "m")

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        q, k = self.keys(*parts[:2])
        c, n, highest = states
        i, f = parts[3:]
        k = k * self.size**-0.5
        log_f = -rg.softplus(-f)
        new = rg.maximum(log_f + highest, i)
        keep, add, least = self.gates(rg.exp(log_f + highest - new), rg.exp(i - new), rg.exp(-new))
        c = keep * c + add * (k * self.values(parts[2]))
        n = keep * rg.expand_dims(n, 3) + add * k
        below = rg.maximum(rg.abs(_read(q, n)), least)
        return _read(q, c) / below, [c, n, new]


class S6(Recurrence):
    """Mamba."""

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        u, dt, b, c = parts
        dt, a = rg.softplus(dt), -rg.exp(self.parameter(p, "A_log"))
        each, row = (None, self.channels, 1), (None, 1, STATES)
        h = rg.exp(rg.reshape(dt, each) * a) * states[0] + rg.reshape(dt * u, each) * rg.reshape(b, row)
        return rg.reduce_sum(h * rg.reshape(c, row), 2) + self.parameter(p, "D") * u, [h]


class MinGRU(Recurrence):
    """MinGRU."""

    names = ("h",)

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        z = rg.sigmoid(parts[0])
        h = (1 - z) * states[0] + z * parts[1]
        return h, [h]


class RGLRU(Recurrence):
    """Griffin's gated LRU."""

    names = ("h",)

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        log_a = -8.0 * rg.softplus(self.parameter(p, "lam")) * rg.sigmoid(parts[0])
        added = rg.sqrt(1.0 - rg.exp(2.0 * log_a)) * (rg.sigmoid(parts[1]) * parts[2])
        h = rg.exp(log_a) * states[0] + added
        return h, [h]


class LRU(Recurrence):
    """LRU, as real and imaginary parts."""

    names = ("real", "imaginary")

    def rule(self, p: Any, states: list[Any], *parts: Any) -> tuple[Any, list[Any]]:
        size, angle = rg.exp(-rg.exp(self.parameter(p, "nu"))), rg.exp(self.parameter(p, "theta"))
        real, imaginary = size * rg.cos(angle), size * rg.sin(angle)
        x, y = states
        x, y = real * x - imaginary * y + parts[0], real * y + imaginary * x + parts[1]
        return x + 0.5 * y, [x, y]


CELLS: dict[str, type[Recurrence]] = {
    "GLA": GLA,
    "GDN": GDN,
    "SSD": SSD,
    "RWKV-7": RWKV7,
    "mLSTM": MLSTM,
    "S6": S6,
    "minGRU": MinGRU,
    "RG-LRU": RGLRU,
    "LRU": LRU,
}
