"""Chunked forms in eager torch: matrix products within chunks of steps, and a loop over chunks for the states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peers
import torch
from torch.nn import functional
from workloads import Call

from .rows import Row

torch.set_num_threads(peers.THREADS)

Tensor = torch.Tensor
LENGTHS = (32, 64, 128)
"""Numbers of steps of a chunk, of which the fastest is timed."""
LENGTHS_BY_CHANNEL = (16, 32)
"""Numbers of steps of a chunk for RWKV-7, whose decays are strong: exp of their sums overflows in longer chunks."""


def has(row: Row) -> bool:
    return row.kind in FORMS


def inference(row: Row) -> list[Call]:
    """Return a call for each chunk length."""
    x = torch.from_numpy(row.inputs())

    def call(length: int) -> Any:
        with torch.inference_mode():
            return run(row, x, length).numpy()

    return [lambda length=length: call(length) for length in _lengths(row)]


def training(row: Row) -> list[Call]:
    """Return a call for each chunk length, which returns the loss and the gradient of the raw input."""
    x = torch.from_numpy(row.inputs()).requires_grad_()

    def call(length: int) -> Any:
        loss = run(row, x, length).square().mean()
        (gradient,) = torch.autograd.grad(loss, [x])
        return loss.item(), {"x": gradient.numpy()}

    return [lambda length=length: call(length) for length in _lengths(row)]


def run(row: Row, x: Tensor, length: int) -> Tensor:
    """Return the outputs [batch, time, channels] of raw inputs."""
    length = min(length, row.time)
    padded = functional.pad(x, (0, 0, 0, -row.time % length))
    parts = [_chunks(part, row, length) for part in padded.split(list(row.widths()), 2)]
    outputs = FORMS[row.kind](row, *parts).permute(0, 2, 3, 1, 4)
    return outputs.reshape(x.shape[0], padded.shape[1], row.channels)[:, : row.time]


def _lengths(row: Row) -> tuple[int, ...]:
    return LENGTHS_BY_CHANNEL if row.kind == "RWKV-7" else LENGTHS


def _chunks(part: Tensor, row: Row, length: int) -> Tensor:
    """Reshape a part [batch, time, width] to [batch, heads, chunks, length, width of a head]."""
    batch, time, width = part.shape
    heads = 1 if row.kind == "SSD" and width == row.size != row.channels else row.heads
    return part.reshape(batch, time // length, length, heads, width // heads).permute(0, 3, 1, 2, 4)


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(-1, keepdim=True) + 1e-6).sqrt()


def _decays(sums: Tensor) -> Tensor:
    """Return the product of decays from each step to each later step, [.., length, length], with 0 elsewhere."""
    low = torch.ones(sums.shape[-2], sums.shape[-2], dtype=torch.bool).tril()
    return torch.where(low, sums - sums.transpose(-1, -2), -torch.inf).exp()


def _between(decay: Tensor, added: Tensor, mixed: Tensor | None = None) -> Tensor:
    """Return the states before each chunk, by a loop of S = decay S - mixed S + added over chunks."""
    state, states = torch.zeros_like(added[:, :, 0]), []
    for c in range(added.shape[2]):
        states.append(state)
        following = decay[:, :, c] * state + added[:, :, c]
        state = following if mixed is None else following - mixed[:, :, c] @ state
    return torch.stack(states, 2)


def gla(row: Row, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    sums = (-functional.softplus(-g) / 16).cumsum(3)
    last = sums[..., -1:, :]
    query = q * sums.exp()
    inner = torch.tril(query @ (k * (-sums).exp()).transpose(-1, -2)) @ v
    added = (k * (last - sums).exp()).transpose(-1, -2) @ v
    return inner + query @ _between(last.exp().transpose(-1, -2), added)


def ssd(row: Row, u: Tensor, dt: Tensor, log_a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    dt = functional.softplus(dt)
    sums, v = (-dt * log_a.exp()).cumsum(3), u * dt
    last = sums[..., -1:, :]
    inner = ((c @ b.transpose(-1, -2)) * _decays(sums)) @ v
    added = (b * (last - sums).exp()).transpose(-1, -2) @ v
    return inner + (c * sums.exp()) @ _between(last.exp(), added)


def gdn(row: Row, q: Tensor, k: Tensor, v: Tensor, b: Tensor, g: Tensor) -> Tensor:
    q, k, b = _unit(q), _unit(k), b.sigmoid()
    sums = (-functional.softplus(-g) / 4).cumsum(3)
    decays, last = _decays(sums), sums[..., -1:, :]
    lower = torch.tril(b * (k @ k.transpose(-1, -2)) * decays, -1)
    right = torch.cat([b * v, b * k * sums.exp()], -1)
    eye = torch.eye(lower.shape[-1], dtype=q.dtype)
    solved = torch.linalg.solve_triangular(eye + lower, right, upper=False, unitriangular=True)
    changes, of_state = solved[..., : row.size], solved[..., row.size :]
    scores, keys = (q @ k.transpose(-1, -2)) * decays, (k * (last - sums).exp()).transpose(-1, -2)
    states = _between(last.exp(), keys @ changes, keys @ of_state)
    return scores @ changes + (q * sums.exp() - scores @ of_state) @ states


def rwkv7(row: Row, r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor) -> Tensor:
    n = _unit(k)
    rate, sums = n * a.sigmoid(), (-0.606531 * w.sigmoid()).cumsum(3)
    before = torch.cat([torch.zeros_like(sums[..., :1, :]), sums[..., :-1, :]], -2)
    query, key, removed = r * sums.exp(), k * (-sums).exp(), rate * (-sums).exp()
    seen = n * before.exp()
    right = torch.cat([torch.tril(seen @ key.transpose(-1, -2), -1) @ v, seen], -1)
    lower = torch.tril(seen @ removed.transpose(-1, -2), -1)
    eye = torch.eye(lower.shape[-1], dtype=r.dtype)
    solved = torch.linalg.solve_triangular(eye + lower, right, upper=False, unitriangular=True)
    changes, of_state = solved[..., : row.size], solved[..., row.size :]
    scores, removals = torch.tril(query @ key.transpose(-1, -2)), torch.tril(query @ removed.transpose(-1, -2))
    last = sums[..., -1:, :]
    keys, rates = ((x * (last - sums).exp()).transpose(-1, -2) for x in (k, rate))
    states = _between(last.exp().transpose(-1, -2), keys @ v - rates @ changes, rates @ of_state)
    return scores @ v - removals @ changes + (query - removals @ of_state) @ states


def mlstm(row: Row, q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
    k, i = k * row.size**-0.5, i[..., 0]
    sums = (-functional.softplus(-f)).cumsum(3)[..., 0]
    low = torch.ones(sums.shape[-1], sums.shape[-1], dtype=torch.bool).tril()
    logs = torch.where(low, sums[..., :, None] - sums[..., None, :] + i[..., None, :], -torch.inf)
    total = sums[..., -1]
    to_end = total[..., None] - sums + i
    highest, before, after = torch.zeros_like(total[:, :, 0]), [], []
    for c in range(total.shape[2]):
        before.append(highest)
        highest = torch.maximum(total[:, :, c] + highest, to_end[:, :, c].amax(-1))
        after.append(highest)
    first, final = torch.stack(before, 2), torch.stack(after, 2)
    ones = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    added = (k * (to_end - final[..., None]).exp()[..., None]).transpose(-1, -2) @ ones
    states = _between((total + first - final).exp()[..., None, None], added)
    from_state = sums + first[..., None]
    peak = torch.maximum(from_state, logs.amax(-1))
    scores = (q @ k.transpose(-1, -2)) * (logs - peak[..., None]).exp()
    both = scores @ ones + (q * (from_state - peak).exp()[..., None]) @ states
    return both[..., :-1] / torch.maximum(both[..., -1:].abs(), (-peak).exp()[..., None])


FORMS: dict[str, Callable[..., Tensor]] = {"GLA": gla, "GDN": gdn, "SSD": ssd, "RWKV-7": rwkv7, "mLSTM": mlstm}
