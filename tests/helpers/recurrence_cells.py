"""Recurrences of 2024 to 2026: built-in cells, two user-defined cells, and torch implementations from the papers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import rnngraph as rg

H, D, V, N = 2, 4, 3, 3  # heads, width of a key, width of a value, states of a channel
W = H * D
Shapes = dict[str, tuple[int, ...]]


class RetNet(rg.Cell):
    """Retention with a constant decay for each head. The cell has several inputs."""

    shapes: ClassVar[Shapes] = dict.fromkeys("qkv", (H, D))

    def parts(self) -> Shapes:
        return self.shapes

    def state(self) -> Any:
        return {"S": rg.memory((H, D, D))}

    @property
    def output_size(self) -> int:
        return W

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        q, k, v = (x[name] for name in "qkv")
        decay = rg.constant((1 - 2.0 ** (-5 - np.arange(H))).astype("float32").reshape(H, 1, 1))
        S = decay * state["S"] + rg.einsum("bhk,bhv->bhkv", k, v)
        return rg.reshape(rg.einsum("bhk,bhkv->bhv", q, S), (None, W)), {"S": S}


class S6T(rg.S6Cell):
    """Selective state space whose state has its channels last."""

    def state(self) -> Any:
        return {"h": rg.memory((self.state_dim, self.num_units))}

    def _recurrence(self, p, state, x, dt, B, C):  # type: ignore[no-untyped-def]
        A = -rg.exp(
            rg.transpose(p.parameter("A_log", (W, N), lambda *_: np.linspace(0, 1, W * N).reshape(W, N)), (1, 0))
        )
        row, column = (lambda part: rg.expand_dims(part, 1)), (lambda part: rg.expand_dims(part, 2))
        h = rg.exp(row(dt) * A) * state["h"] + row(dt * x) * column(B)
        return rg.reduce_sum(h * column(C), 1) + p.parameter("D", (W,), "ones") * x, {"h": h}


CELLS: dict[str, Any] = {
    "MinGRU": lambda: rg.MinGRUCell(W),
    "MinLSTM": lambda: rg.MinLSTMCell(W, activation="tanh"),
    "LRU": lambda: rg.LRUCell(W, 5, r_min=0.3, r_max=0.9),
    "RGLRU": lambda: rg.RGLRUCell(W),
    "RGLRUBlocks": lambda: rg.RGLRUCell(W, H),
    "S6": lambda: rg.S6Cell(W, N, 2),
    "S6T": lambda: S6T(W, N, 2),
    "SSD": lambda: rg.SSDCell(4, 2, N, 2),
    "RetNet": RetNet,
    "GLA": lambda: rg.GatedLinearAttentionCell(H, D, V, gate_rank=3),
    "DeltaNet": lambda: rg.DeltaNetCell(H, D, V),
    "GDN": lambda: rg.GatedDeltaNetCell(H, D, V),
    "RWKV7": lambda: rg.RWKV7Cell(H, D, 3, 2, 3),
    "SLSTM": lambda: rg.SLSTMCell(H, D),
    "MLSTM": lambda: rg.MLSTMCell(H, D, V),
}
OF_PARTS = [name for name in CELLS if name != "LRU"]
READY = [name for name in CELLS if name not in ("S6T", "RetNet")]


class Peers:
    """One step of each recurrence in torch: method ``NAME(parts…, states…, parameters…)`` returns (output, states)."""

    def __init__(self, torch: Any) -> None:
        self.torch, self.F = torch, torch.nn.functional

    def MinGRU(self, z, c, h):
        h = (1 - z) * h + z * c
        return h, (h,)

    def MinLSTM(self, f, i, c, h):
        h = f / (f + i) * h + i / (f + i) * c
        return h, (h,)

    def LRU(self, x, real, imag, nu_log, theta_log, gamma_log, B_re, B_im, C_re, C_im, D):
        torch = self.torch
        lam = torch.exp(torch.complex(-nu_log.exp(), theta_log.exp()))
        into = torch.complex(x @ B_re, x @ B_im)
        s = lam * torch.complex(real, imag) + gamma_log.exp() * into
        y = (s @ torch.complex(C_re, C_im)).real
        return y + (x * D if D.dim() == 1 else x @ D), (s.real, s.imag)

    def RGLRU(self, g, x, h):
        a = g.exp()
        h = a * h + (1 - a**2).sqrt() * x
        return h, (h,)

    RGLRUBlocks = RGLRU

    def S6(self, x, dt, B, C, h, A_log, D):
        h = (dt[:, :, None] * -A_log.exp()).exp() * h + (dt * x)[:, :, None] * B[:, None]
        return (h * C[:, None]).sum(2) + D * x, (h,)

    def S6T(self, x, dt, B, C, h, A_log, D):
        y, (h,) = self.S6(x, dt, B, C, h.transpose(1, 2), A_log, D)
        return y, (h.transpose(1, 2),)

    def SSD(self, x, dt, B, C, S, A_log, D):
        B, C = (part.repeat_interleave(x.shape[1] // part.shape[1], 1) for part in (B, C))
        a = (-dt * A_log.exp()).exp()
        S = a[..., None, None] * S + B[..., None] * (dt[..., None] * x)[:, :, None]
        return (C[..., None] * S).sum(2) + D[:, None] * x, (S,)

    def RetNet(self, q, k, v, S):
        decay = self.torch.tensor(1 - 2.0 ** (-5 - np.arange(H))).to(q).reshape(1, H, 1, 1)
        S = decay * S + k[..., None] * v[:, :, None]
        return (q[..., None] * S).sum(2), (S,)

    def GLA(self, q, k, v, g, S):
        S = g.exp()[..., None] * S + k[..., None] * v[:, :, None]
        return self.torch.einsum("bhk,bhkv->bhv", q, S), (S,)

    def DeltaNet(self, q, k, v, beta, S):
        S = S + k[..., None] * (beta[..., None] * (v - (k[..., None] * S).sum(2)))[:, :, None]
        return (q[..., None] * S).sum(2), (S,)

    def GDN(self, q, k, v, beta, g, S):
        return self.DeltaNet(q, k, v, beta, g.exp()[..., None, None] * S)

    def RWKV7(self, r, w, k, v, kappa, a, x, S):
        torch = self.torch
        change = torch.diag_embed(w.exp()) - kappa[..., None] * (a * kappa)[..., None, :]
        S = change.transpose(2, 3) @ S + k[..., None] * v[:, :, None]
        return torch.einsum("bhk,bhkv->bhv", r, S), (x, S)

    def SLSTM(self, z, i, f, o, c, n, m, h, recurrent_kernel):
        torch = self.torch
        recurrent = torch.einsum("bhd,hde->bhe", h, recurrent_kernel).split(D, 2)
        z, i, f, o = (part + own for part, own in zip((z, i, f, o), recurrent, strict=True))
        log_f = self.F.logsigmoid(f)
        new = i if (n == 0).all() else torch.maximum(log_f + m, i)
        f, i = (log_f + m - new).exp(), (i - new).exp()
        c, n = f * c + i * z.tanh(), f * n + i
        h = o.sigmoid() * c / n
        return h, (c, n, new, h)

    def MLSTM(self, q, k, v, o, i, f, C, n, m):
        k, log_f = k / D**0.5, self.F.logsigmoid(f)
        new = self.torch.maximum(log_f + m, i)
        f, i = (log_f + m - new).exp(), (i - new).exp()
        C = f[..., None, None] * C + i[..., None, None] * (k[..., None] * v[:, :, None])
        n = f[..., None] * n + i[..., None] * k
        below = self.torch.maximum((q * n).sum(2).abs(), (-new).exp())
        return o.sigmoid() * (q[..., None] * C).sum(2) / below[..., None], (C, n, new)


class Projections(Peers):
    """One step of each built-in cell, including its projections: ``of(name, x, states, parameters)``."""

    def of(self, name: str, x: Any, states: Any, P: Any) -> Any:
        if "in_projection/kernel" in P:
            x = x @ P["in_projection/kernel"]
        if name == "RWKV7":
            return self.time_mixing(x, *states, P)
        parts = [x] if name == "LRU" else getattr(self, f"of_{name}")(x, P)
        own = {key: P[key] for key in ("A_log", "D", "recurrent_kernel") if key in P and name != "GDN"}
        return getattr(self, name)(*parts, *states, **(P if name == "LRU" else own))

    def heads(self, *tensors: Any, of: int = H) -> Any:
        return [x.reshape(x.shape[0], of, -1) for x in tensors]

    def of_MinGRU(self, x, P):
        z, c = (x @ P["kernel"] + P["bias"]).split(W, 1)
        return z.sigmoid(), c

    def of_MinLSTM(self, x, P):
        f, i, c = (x @ P["kernel"] + P["bias"]).split(W, 1)
        return f.sigmoid(), i.sigmoid(), c.tanh()

    def of_RGLRU(self, x, P):
        r, i = (x @ P["gates/kernel"] + P["gates/bias"]).sigmoid().split(W, 1)
        return -8 * self.F.softplus(P["a"]) * r, i * x

    def of_RGLRUBlocks(self, x, P):
        gates = self.torch.einsum("bhi,hij->bhj", self.heads(x)[0], P["gates/kernel"]) + P["gates/bias"]
        r, i = (part.reshape(x.shape).sigmoid() for part in gates.split(W // H, 2))
        return -8 * self.F.softplus(P["a"]) * r, i * x

    def of_S6(self, x, P):
        B, C = (x @ P["kernel"]).split(N, 1)
        return x, self.F.softplus(x @ P["dt/down"] @ P["dt/up"] + P["dt/bias"]), B, C

    def of_SSD(self, x, P):
        x, dt, B, C = (x @ P["kernel"]).split([8, 4, 2 * N, 2 * N], 1)
        return *self.heads(x, of=4), self.F.softplus(dt + P["dt/bias"]), *self.heads(B, C, of=2)

    def of_GLA(self, x, P):
        g = self.F.logsigmoid(x @ P["gate/down"] @ P["gate/up"] + P["gate/bias"]) / 16
        return self.heads(*(x @ P["kernel"]).split([W, W, H * V], 1), g)

    def of_DeltaNet(self, x, P):
        q, k, v, beta = (x @ P["kernel"]).split([W, W, H * V, H], 1)
        q, k, v = self.heads(q, k, v)
        return self.F.normalize(q, dim=-1), self.F.normalize(k, dim=-1), v, beta.sigmoid()

    def of_GDN(self, x, P):
        dt = self.F.softplus((x @ P["kernel"])[:, -H:] + P["gate/bias"])
        return *self.of_DeltaNet(x, {"kernel": P["kernel"][:, :-H]}), -P["A_log"].exp() * dt

    def of_SLSTM(self, x, P):
        return self.heads(*(x @ P["kernel"] + P["bias"]).split(W, 1))

    def of_MLSTM(self, x, P):
        *vectors, i, f = (x @ P["kernel"] + P["bias"]).split([W, W, H * V, H * V, H, H], 1)
        return *self.heads(*vectors), i, f

    def time_mixing(self, x, before, S, P):
        F = self.F
        mixed = {name: x + (before - x) * P[f"mix/{name}"] for name in "rwkvag"}
        r, k, v = (mixed[name] @ P[name] for name in "rkv")
        # the offset of 0.5 is that of the authors' code
        w = -F.softplus(-((mixed["w"] @ P["w/down"]).tanh() @ P["w/up"] + P["w/bias"])) - 0.5
        a = (mixed["a"] @ P["a/down"] @ P["a/up"] + P["a/bias"]).sigmoid()
        gate = (mixed["g"] @ P["gate/down"]).sigmoid() @ P["gate/up"]
        (kappa,) = self.heads(k * P["removal"])
        k = k * (1 + (a - 1) * P["replacement"])
        r, w, k, v, a = self.heads(r, -w.exp(), k, v, a)
        y, (_, S) = self.RWKV7(r, w, k, v, F.normalize(kappa, dim=-1), a, x, S)
        gamma, beta = P["group_norm/gamma"], P["group_norm/beta"]
        y = F.group_norm(y.reshape(-1, W), H, gamma, beta, 64e-5)
        y = y + ((r * P["bonus"].reshape(H, D) * k).sum(2, keepdim=True) * v).reshape(-1, W)
        return (y * gate) @ P["output"], (x, S)
