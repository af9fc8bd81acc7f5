"""Logits of recurrent language models in NumPy's float64, one step at a time, from a GGUF file's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gguf_files import File

Array = np.ndarray
GROUP_EPSILON = 64e-5


def logits(file: File, architecture: str, ids: Array) -> Array:
    """Return the logits [rows, steps, vocabulary] of ids [rows, steps]."""
    return np.stack([_NETS[architecture](file, architecture).run(row) for row in ids])


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def silu(x: Array) -> Array:
    return x * sigmoid(x)


class _Net:
    """Model with the state of one sequence. ``memory`` has values for the next step, by name."""

    def __init__(self, file: File, architecture: str) -> None:
        self.w = {name.removesuffix(".weight"): array for name, array in file.arrays.items()}
        self.facts = {key.removeprefix(f"{architecture}."): value for key, value in file.facts.items()}
        self.memory: dict[str, Array] = {}

    def run(self, ids: Array) -> Array:
        return np.stack([self.step(int(token)) for token in ids])

    def step(self, token: int) -> Array:
        raise NotImplementedError

    def below(self, prefix: str) -> dict[str, Array]:
        """Return the arrays whose name begins with ``prefix``, by the rest of the name."""
        return {name.removeprefix(prefix): array for name, array in self.w.items() if name.startswith(prefix)}

    def kept(self, name: str, new: Array) -> Array:
        """Return the array stored under a name, zeros at first, and store a new one."""
        old = self.memory.get(name, np.zeros_like(new))
        self.memory[name] = new
        return old


class _Rwkv(_Net):
    def step(self, token: int) -> Array:
        w, self.first = self.w, None
        x = self.norm(w["token_embd"][token], "token_embd_norm")
        for number in range(self.facts["block_count"]):
            name = f"blk.{number}"
            x = x + self.time_mix(name, self.norm(x, f"{name}.attn_norm"))
            x = x + self.channel_mix(name, self.norm(x, f"{name}.attn_norm_2"))
            every = self.facts.get("rescale_every_n_layers", 0)
            if every and (number + 1) % every == 0:
                x = x / 2
        return w["output"] @ self.norm(x, "output_norm")

    def norm(self, x: Array, name: str, epsilon: float | None = None) -> Array:
        epsilon = self.facts["attention.layer_norm_epsilon"] if epsilon is None else epsilon
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
        return scaled.ravel() * self.w[name] + self.w[f"{name}.bias"]

    def heads(self, x: Array) -> Array:
        return x.reshape(-1, self.facts["wkv.head_size"])

    def time_mix(self, name: str, x: Array) -> Array:
        raise NotImplementedError

    def channel_mix(self, name: str, x: Array) -> Array:
        w = self.below(f"{name}.channel_mix_")
        d = self.kept(f"{name}.channel", x) - x
        y = w["value"] @ np.maximum(w["key"] @ (x + d * w["lerp_k"].ravel()), 0) ** 2
        return y if "receptance" not in w else y * sigmoid(w["receptance"] @ (x + d * w["lerp_r"].ravel()))


class _Rwkv7(_Rwkv):
    def time_mix(self, name: str, x: Array) -> Array:
        w = self.below(f"{name}.time_mix_")
        d = self.kept(f"{name}.time", x) - x
        xr, xw, xk, xv, xa, xg = (x + d * share for share in w["lerp_fused"].reshape(6, -1))
        r, k, v = w["receptance"] @ xr, w["key"] @ xk, w["value"] @ xv
        decay = np.exp(-0.606531 * sigmoid(w["w2"] @ np.tanh(w["w1"] @ xw) + w["w0"]))
        if self.first is None:
            self.first = v
        else:
            v = v + (self.first - v) * sigmoid(w["v2"] @ (w["v1"] @ xv) + w["v0"])
        g = w["g2"] @ sigmoid(w["g1"] @ xg)
        a = sigmoid(w["a2"] @ (w["a1"] @ xa) + w["a0"])
        kk = self.heads(k * w["k_k"])
        kk = kk / np.maximum(np.sqrt((kk**2).sum(-1, keepdims=True)), 1e-12)
        k = k * (1 + (a - 1) * w["k_a"])
        r, decay, k, v, a = map(self.heads, (r, decay, k, v, a))
        S = self.memory.get(f"{name}.S", np.zeros((*k.shape, k.shape[1])))
        removed = np.einsum("hk,hkv->hv", kk, S)
        S = decay[..., None] * S - (kk * a)[..., None] * removed[:, None] + k[..., None] * v[:, None]
        self.memory[f"{name}.S"] = S
        y = self.norm(np.einsum("hk,hkv->hv", r, S), f"{name}.time_mix_ln", GROUP_EPSILON)
        y = y + ((r * self.heads(w["r_k"]) * k).sum(-1, keepdims=True) * v).ravel()
        return w["output"] @ (y * g)


class _Rwkv6(_Rwkv):
    def time_mix(self, name: str, x: Array) -> Array:
        w = self.below(f"{name}.time_mix_")
        d = self.kept(f"{name}.time", x) - x
        inner = np.tanh(w["w1"] @ (x + d * w["lerp_x"].ravel())).reshape(5, -1)
        own = (
            w["lerp_fused"].reshape(5, -1)
            if "lerp_fused" in w
            else np.stack([w[f"lerp_{key}"].ravel() for key in "wkvrg"])
        )
        xw, xk, xv, xr, xg = (x + d * (share + w["w2"][at] @ inner[at]) for at, share in enumerate(own))
        r, k, v = (self.heads(w[word] @ part) for word, part in (("receptance", xr), ("key", xk), ("value", xv)))
        decay = np.exp(-np.exp(self.heads(w["decay_w2"] @ np.tanh(w["decay_w1"] @ xw) + w["decay"])))
        S = self.memory.get(f"{name}.S", np.zeros((*k.shape, k.shape[1])))
        new = k[..., None] * v[:, None]
        y = np.einsum("hk,hkv->hv", r, S + w["first"][..., None] * new)
        self.memory[f"{name}.S"] = decay[..., None] * S + new
        return w["output"] @ (self.norm(y, f"{name}.time_mix_ln", GROUP_EPSILON) * silu(w["gate"] @ xg))


class _Mamba(_Net):
    def step(self, token: int) -> Array:
        w = self.w
        x = w["token_embd"][token]
        for number in range(self.facts["block_count"]):
            name = f"blk.{number}"
            x = x + self.layer(
                self.below(f"{name}.ssm_"),
                name,
                self.norm(x, w[f"{name}.attn_norm"]),
            )
        return w.get("output", w["token_embd"]) @ self.norm(x, w["output_norm"])

    def norm(self, x: Array, gamma: Any = 1.0) -> Array:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + self.facts["attention.layer_norm_rms_epsilon"]) * gamma

    def convolved(self, w: Mapping[str, Array], name: str, x: Array) -> Array:
        past = self.memory.get(f"{name}.conv", np.zeros((len(x), self.facts["ssm.conv_kernel"] - 1)))
        window = np.concatenate([past, x[:, None]], 1)
        self.memory[f"{name}.conv"] = window[:, 1:]
        return silu((window * w["conv1d"]).sum(1) + w["conv1d.bias"])

    def layer(self, w: Mapping[str, Array], name: str, x: Array) -> Array:
        u, z = np.split(w["in"] @ x, 2)
        u = self.convolved(w, name, u)
        rank, states = self.facts["ssm.time_step_rank"], self.facts["ssm.state_size"]
        parts = np.split(w["x"] @ u, [rank, rank + states])
        dt, B, C = map(self.norm, parts) if self.facts.get("ssm.dt_b_c_rms") else parts
        dt = np.log1p(np.exp(w["dt"] @ dt + w["dt.bias"]))
        h = np.exp(dt[:, None] * w["a"]) * self.memory.get(f"{name}.h", np.zeros_like(w["a"])) + (dt * u)[:, None] * B
        self.memory[f"{name}.h"] = h
        return w["out"] @ ((h @ C + w["d"] * u) * silu(z))


class _Mamba2(_Mamba):
    def layer(self, w: Mapping[str, Array], name: str, x: Array) -> Array:
        inner, states, groups = (self.facts[f"ssm.{key}"] for key in ("inner_size", "state_size", "group_count"))
        heads = self.facts["ssm.time_step_rank"]
        z, u, dt = np.split(w["in"] @ x, [inner, 2 * inner + 2 * groups * states])
        u, B, C = np.split(self.convolved(w, name, u), [inner, inner + groups * states])
        dt, u = np.log1p(np.exp(dt + w["dt.bias"])), u.reshape(heads, -1)
        B, C = (np.repeat(part.reshape(groups, -1), heads // groups, 0) for part in (B, C))
        S = self.memory.get(f"{name}.S", np.zeros((*u.shape, states)))
        S = np.exp(dt * w["a"].ravel())[:, None, None] * S + (dt[:, None] * u)[..., None] * B[:, None]
        self.memory[f"{name}.S"] = S
        y = np.einsum("hvn,hn->hv", S, C) + w["d"] * u
        y = self.norm((y.ravel() * silu(z)).reshape(groups, -1), w["norm"])
        return w["out"] @ y.ravel()


_NETS: Mapping[str, Callable[[File, str], _Net]] = {
    "rwkv7": _Rwkv7,
    "rwkv6": _Rwkv6,
    "mamba": _Mamba,
    "mamba2": _Mamba2,
}
