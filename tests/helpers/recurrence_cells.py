"""Thirteen recurrences of 2024 to 2026, with heads, as cells that take several inputs and carry states of any shape."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import rnngraph as rg

H, D, N = 2, 4, 3  # heads, width of a head, states of a channel
W = H * D
Shapes = dict[str, tuple[int, ...]]


def ones(x: rg.Tensor, *axes: int) -> rg.Tensor:
    """A tensor with further axes of 1."""
    for axis in axes:
        x = rg.expand_dims(x, axis)
    return x


def spread(low: float, high: float, *shape: int) -> Any:
    return lambda _, generator: np.linspace(low, high, int(np.prod(shape))).reshape(shape).astype("float32")


class Recurrence(rg.Cell):
    """``shapes``: of one step's inputs, by name; ``states``: of one row's state."""

    shapes: ClassVar[Shapes]
    states: ClassVar[Shapes] = {"S": (H, D, D)}

    def state(self) -> Any:
        return {name: rg.memory(shape) for name, shape in self.states.items()}

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        y, *new = self.rule(p, *x.values(), *state.values())
        return y, dict(zip(state, new, strict=True))

    def rule(self, p: rg.Scope, *values: rg.Tensor) -> tuple[rg.Tensor, ...]:
        raise NotImplementedError


class MinGRU(Recurrence):
    shapes, states = {"z": (W,), "c": (W,)}, {"h": (W,)}

    def rule(self, p, z, c, h):
        h = h + rg.sigmoid(z) * (c - h)
        return h, h


class MinLSTM(Recurrence):
    shapes, states = {"f": (W,), "i": (W,), "c": (W,)}, {"h": (W,)}

    def rule(self, p, f, i, c, h):
        f, i = rg.sigmoid(f), rg.sigmoid(i)
        h = (f * h + i * c) / (f + i)
        return h, h


class RGLRU(Recurrence):
    shapes, states = {"r": (W,), "i": (W,), "u": (W,)}, {"h": (W,)}

    def rule(self, p, r, i, u, h):
        log_a = -8.0 * rg.softplus(p.parameter("lam", (W,), spread(-2, 1, W))) * rg.sigmoid(r)
        h = rg.exp(log_a) * h + rg.sqrt(-rg.expm1(2.0 * log_a)) * rg.sigmoid(i) * u
        return h, h


class LRU(Recurrence):
    shapes, states = {"real": (W,), "imag": (W,)}, {"re": (W,), "im": (W,)}

    def rule(self, p, real, imag, re, im):
        nu, theta = p.parameter("nu", (W,), spread(-4, -1, W)), p.parameter("theta", (W,), spread(-3, 1, W))
        size, angle = rg.exp(-rg.exp(nu)), rg.exp(theta)
        a, b = size * rg.cos(angle), size * rg.sin(angle)
        re, im = a * re - b * im + real, a * im + b * re + imag
        return re + 0.5 * im, re, im


class S6(Recurrence):
    shapes, states = {"u": (W,), "dt": (W,), "B": (N,), "C": (N,)}, {"h": (W, N)}

    def rule(self, p, u, dt, B, C, h):
        dt, A = rg.softplus(dt), -rg.exp(p.parameter("A_log", (W, N), spread(0, 1, W, N)))
        h = rg.exp(ones(dt, 2) * A) * h + ones(dt * u, 2) * ones(B, 1)
        return rg.reduce_sum(h * ones(C, 1), 2) + p.parameter("D", (W,), "ones") * u, h


class S6T(S6):
    """The same with the channels of its state behind."""

    states: ClassVar[Shapes] = {"h": (N, W)}

    def rule(self, p, u, dt, B, C, h):
        dt, A = rg.softplus(dt), -rg.exp(rg.transpose(p.parameter("A_log", (W, N), spread(0, 1, W, N)), (1, 0)))
        h = rg.exp(ones(dt, 1) * A) * h + ones(dt * u, 1) * ones(B, 2)
        return rg.reduce_sum(h * ones(C, 2), 1) + p.parameter("D", (W,), "ones") * u, h


class SSD(Recurrence):
    shapes: ClassVar[Shapes] = {"u": (H, D), "dt": (H,), "log_a": (H,), "B": (D,), "C": (D,)}

    def rule(self, p, u, dt, log_a, B, C, S):
        dt = rg.softplus(dt)
        S = ones(rg.exp(-dt * rg.exp(log_a)), 2, 3) * S + ones(B, 1, 3) * ones(ones(dt, 2) * u, 2)
        return rg.reduce_sum(ones(C, 1, 3) * S, 2), S


class RetNet(Recurrence):
    shapes = dict.fromkeys("qkv", (H, D))

    def rule(self, p, q, k, v, S):
        S = rg.constant((1 - 2.0 ** (-5 - np.arange(H))).astype("float32").reshape(H, 1, 1)) * S + ones(k, 3) * ones(
            v, 2
        )
        return rg.reduce_sum(ones(q, 3) * S, 2), S


class GLA(Recurrence):
    shapes = dict.fromkeys("qkvg", (H, D))

    def rule(self, p, q, k, v, g, S):
        S = ones(rg.exp(-rg.softplus(-g) / 16.0), 3) * S + ones(k, 3) * ones(v, 2)
        return rg.reduce_sum(ones(q, 3) * S, 2), S


def unit(x: rg.Tensor) -> rg.Tensor:
    return x / rg.sqrt(rg.reduce_sum(rg.square(x), 2, keepdims=True) + 1e-6)


class GDN(Recurrence):
    shapes: ClassVar[Shapes] = {**dict.fromkeys("qkv", (H, D)), "b": (H,), "g": (H,)}

    def rule(self, p, q, k, v, b, g, S):
        q, k, S = unit(q), unit(k), ones(rg.exp(-rg.softplus(-g) / 4.0), 2, 3) * S
        S = S + ones(k, 3) * ones(ones(rg.sigmoid(b), 2) * (v - rg.reduce_sum(ones(k, 3) * S, 2)), 2)
        return rg.reduce_sum(ones(q, 3) * S, 2), S


class RWKV7(Recurrence):
    shapes = dict.fromkeys("rwkva", (H, D))

    def rule(self, p, r, w, k, v, a, S):
        w, a, kk = rg.exp(-0.606531 * rg.sigmoid(w)), rg.sigmoid(a), unit(k)
        read = rg.reduce_sum(ones(kk, 3) * S, 2)
        S = ones(w, 3) * S - ones(kk * a, 3) * ones(read, 2) + ones(k, 3) * ones(v, 2)
        return rg.reduce_sum(ones(r, 3) * S, 2), S


class MLSTM(Recurrence):
    shapes: ClassVar[Shapes] = {**dict.fromkeys("qkv", (H, D)), "i": (H,), "f": (H,)}
    states: ClassVar[Shapes] = {"C": (H, D, D), "n": (H, D), "m": (H,)}

    def rule(self, p, q, k, v, i, f, C, n, m):
        k, kept = k * D**-0.5, m - rg.softplus(-f)
        m = rg.maximum(kept, i)
        f, i = ones(rg.exp(kept - m), 2), ones(rg.exp(i - m), 2)
        C, n = ones(f, 3) * C + ones(i * k, 3) * ones(v, 2), f * n + i * k
        below = rg.maximum(rg.abs(rg.reduce_sum(q * n, 2)), rg.exp(-m))
        return rg.reduce_sum(ones(q, 3) * C, 2) / ones(below, 2), C, n, m


class SLSTM(Recurrence):
    shapes, states = {"x": (H, 4 * D)}, dict.fromkeys("hcnm", (H, D))

    def rule(self, p, x, h, c, n, m):
        R = p.parameter("R", (H, D, 4 * D), lambda shape, generator: 0.1 * generator.standard_normal(shape))
        z, i, f, o = rg.split(x + rg.einsum("bhd,hde->bhe", h, R), 4, 2)
        kept = m - rg.softplus(-f)
        m = rg.maximum(kept, i)
        f, i = rg.exp(kept - m), rg.exp(i - m)
        c, n = f * c + i * rg.tanh(z), f * n + i
        h = rg.sigmoid(o) * c / rg.maximum(n, 1e-6)
        return h, h, c, n, m


CELLS = {
    cell.__name__: cell for cell in (MinGRU, MinLSTM, RGLRU, LRU, S6, S6T, SSD, RetNet, GLA, GDN, RWKV7, MLSTM, SLSTM)
}
